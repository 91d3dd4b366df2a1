"""What a request may cost before anybody looks at it: sizes, counts, and how long its body may take."""

import asyncio
import re
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from shared.kernel.places import authority_of, place, place_of
from shared.web.errors import Refusal

KIB: Final = 1024
_WITH_NEXT: Final = ("/if/flow/", "/flows/-/", "/api/v3/flows/executor/")
_SINGLE: Final = ("Host", "Authorization", "Content-Type", "Origin", "Sec-Fetch-Site", "Content-Encoding")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and seconds. `head_s`: how long the head of a request may take, and a connection may be idle.

    `target_with_next`: of a request that carries where its visitor came for, 4 KiB of path, percent-encoded once or twice.
    """

    body: int = 64 * KIB
    target: int = 8 * KIB
    target_with_next: int = 16 * KIB
    headers: int = 100
    headers_size: int = 16 * KIB
    body_s: float = 10.0
    head_s: float = 10.0

    def check(self, request: web.BaseRequest) -> None:
        """`Refusal` for a head that is too large, says something twice, or announces a body that we would not take."""
        message = request.raw_headers
        if len(request.raw_path) > (self.target_with_next if request.raw_path.startswith(_WITH_NEXT) else self.target):
            raise Refusal(414, "uri_too_long", size=len(request.raw_path))
        size = sum(len(name) + len(value) + 4 for name, value in message)
        if len(message) > self.headers or size > self.headers_size:
            raise Refusal(431, "headers_too_large", size=size)
        for name in _SINGLE:
            if len(request.headers.getall(name, ())) > 1:
                raise Refusal(400, "header_doubled", size=size)
        _check_target(request)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refusal(415, "body_compressed", size=request.content_length or 0, close=True)
        if (request.content_length or 0) > self.body:
            raise Refusal(413, "body_too_large", size=request.content_length or 0, close=True)

    async def body_of(self, request: web.BaseRequest) -> bytes:
        """The whole body; `Refusal` when it is larger than allowed, broken, or slower than the deadline."""
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.body_s):
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    if size > self.body:
                        raise Refusal(413, "body_too_large", size=size, close=True)
                    parts.append(chunk)
        except TimeoutError:
            raise Refusal(408, "body_too_slow", size=size, close=True) from None
        except (web.RequestPayloadError, ConnectionError):  # broken, or its sender has gone: nobody's defect
            raise Refusal(400, "body_malformed", size=size, close=True) from None
        return b"".join(parts)


def _check_target(request: web.BaseRequest) -> None:
    # RFC 9112 §3.2.2: a server accepts the absolute form, which then is the host; two hosts are one too many.
    if request.raw_path.startswith("/"):
        return
    scheme, _, rest = request.raw_path.partition("://")
    asked = place_of(f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0]}")
    host = authority_of(request.headers.get("Host", ""))
    if asked is None or host is None or asked != place(asked.scheme, host):
        raise Refusal(400, "target_malformed", size=len(request.raw_path))
