"""The listener: aiohttp's own, with the limits that its parser and its connections need.

What aiohttp leaves open: it answers its parser's errors with the text of what came, and waits without end for the
head of a request.
"""

import asyncio
import logging
import secrets
from typing import Any, Final

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from shared.web.errors import Refusal
from shared.web.headers import HEADERS, sendable
from shared.web.limits import Limits
from shared.web.problems import problem
from shared.web.security_log import SecurityLog

_PARSER_SLACK: Final = 4  # times: up to here a request is read, so that it can be told what is wrong with it

_log = logging.getLogger(__name__)


class Listener:
    """Serves one application on one address."""

    def __init__(self, app: web.Application, limits: Limits, records: SecurityLog) -> None:
        self._runner = _Runner(app, limits, records)
        self._address: tuple[str, int] | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; port 0 takes a free one. The address that is listened on."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, backlog=1024).start()
        name = self._runner.addresses[0]
        self._address = (name[0], name[1])
        return self._address

    def drain(self) -> None:
        """From now on every answer says that its connection closes with it; new ones are taken still."""
        if isinstance(self._runner.server, _Server):
            self._runner.server.draining = True

    async def stop(self) -> None:
        """Take no more connections, finish the requests at hand, then close."""
        await self._runner.cleanup()


class _Runner(web.AppRunner):
    __slots__ = ("_limits", "_records")

    def __init__(self, app: web.Application, limits: Limits, records: SecurityLog) -> None:
        super().__init__(
            app,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=limits.head_s,
            lingering_time=1.0,
            max_line_size=limits.target_with_next * _PARSER_SLACK,
            max_field_size=limits.headers_size * _PARSER_SLACK,
            max_headers=limits.headers * _PARSER_SLACK,
            shutdown_timeout=5.0,
        )
        self._limits = limits
        self._records = records

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(server, self._limits, self._records)


class _Server(web.Server):
    """aiohttp's server, making connections of our kind."""

    draining = False

    def __init__(self, made: web.Server, limits: Limits, records: SecurityLog) -> None:
        super().__init__(made.request_handler, request_factory=made.request_factory, loop=made._loop, **made._kwargs)
        self._limits = limits
        self._records = records

    def __call__(self) -> RequestHandler:
        return _Connection(self, self._loop, self._limits, self._records, self._kwargs)


class _Connection(RequestHandler):
    __slots__ = ("_head_s", "_head_timer", "_records", "_seen")

    def __init__(
        self, server: web.Server, loop: asyncio.AbstractEventLoop, limits: Limits, records: SecurityLog, settings: dict[str, Any]
    ) -> None:
        super().__init__(server, loop=loop, **settings)
        self._records = records
        self._head_s = limits.head_s
        self._head_timer: asyncio.TimerHandle | None = None
        self._seen = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._keepalive_handle is not None:  # it would be first by a moment, and write no record
            self._keepalive_handle.cancel()
        self._watch()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Close a connection that has sent no whole head between two looks, the deadline apart; for later heads aiohttp's own
        keep-alive, which is as long, is first."""
        if self.transport is None:
            return
        if self._current_request is None and self._seen == self._request_count:
            if self._request_count == 0:
                self._records.record("head_too_slow")
            self.transport.abort()
            return
        self._seen = self._request_count if self._current_request is None else -1  # what is answered now ends any time
        self._head_timer = self._loop.call_later(self._head_s, self._watch)

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what the parser refused, or what no handler caught, without a word of what came."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer is on its way already")
        correlation = secrets.token_hex(16)
        refusal = _refusal(status, exc)
        if refusal.status == 500:
            _log.error("a request failed", exc_info=exc, extra={"correlation_id": correlation})
        else:
            self._records.record(refusal.error, 0, {"correlation_id": correlation})
        return _finished(problem(refusal, correlation))

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send only what we made: aiohttp answers an `Expect` by itself, with what came and with its own name. And as what we
        speak: it repeats any version that was asked with, `HTTP/2.0` too (RFC 9110 §2.5)."""
        if request.version not in (HttpVersion10, HttpVersion11):
            request._cache["version"] = HttpVersion11
        if not resp.prepared and "Server" not in resp.headers:
            refusal = Refusal(417, "expectation", close=True) if resp.status == 417 else Refusal(resp.status, "http", close=True)
            self._records.record(refusal.error)
            resp = _finished(problem(refusal, secrets.token_hex(16)))
        if not resp.prepared and not sendable(resp):
            correlation = secrets.token_hex(16)
            _log.error("an answer has a header that cannot be sent", extra={"correlation_id": correlation})
            resp = _finished(problem(Refusal(500, "internal", close=True), correlation))
        if isinstance(self._manager, _Server) and self._manager.draining:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)


def _finished(answer: web.Response) -> web.Response:
    answer.headers.update(HEADERS)
    return answer


def _refusal(status: int, exc: BaseException | None) -> Refusal:
    match exc:
        case BadHttpMethod():
            return Refusal(405, "method_unknown", close=True)
        case LineTooLong():
            return Refusal(431, "head_too_large", close=True)
        case _ if status == 500:
            return Refusal(500, "internal", close=True)
        case _:
            return Refusal(status, "request_malformed", close=True)
