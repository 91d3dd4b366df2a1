"""A collector for tests: OTLP over HTTP on loopback, on a thread of its own, so that no test's event loop has to turn for it."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

PATIENCE_S: Final = 60.0
ROUTE: Final = "/v1/traces"


@dataclass(frozen=True, slots=True)
class Received:
    """A span as it arrived."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]


class Collector:
    """Takes what comes to `/v1/traces`; with `status` other than 200 it refuses, while `silent` it does not answer at all."""

    def __init__(self) -> None:
        self.status = 200
        self.silent = False
        self.requests = 0
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.endpoint = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="collector", daemon=True)

    @property
    def spans(self) -> list[Received]:
        """All that was taken."""
        return [span for body in list(self.bodies) for span in _decoded(body)]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Block until it holds; fails after a minute, with what arrived."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, (self.requests, [span.name for span in self.spans])
            time.sleep(0.02)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(PATIENCE_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    async def _start(self) -> None:
        self._gone = asyncio.Event()
        app = web.Application(client_max_size=2**26)
        app.router.add_post(ROUTE, self._take)
        app.on_shutdown.append(self._let_go)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _let_go(self, _: web.Application) -> None:
        self._gone.set()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = self.status  # decided before it can be seen that somebody asked
        self.requests += 1
        if self.silent:
            await self._gone.wait()
        if status != 200:
            return web.Response(status=status)
        self.headers.append(request.headers.copy())
        self.bodies.append(body)
        return web.Response(body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf")


def _decoded(body: bytes) -> list[Received]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Received(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            kind=span.kind,
            attributes=_values(span.attributes),
            resource=_values(resource.resource.attributes),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
