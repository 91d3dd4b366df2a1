"""What makes an HTTP answer other than the wanted one: an error with a status, which the application turns into a problem."""

from collections.abc import Mapping
from typing import Final

from shared.kernel.errors import SluiceError

TITLES: Final[Mapping[int, str]] = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Content too large",
    414: "URI too long",
    415: "Unsupported media type",
    417: "Expectation failed",
    421: "Misdirected request",
    422: "Unprocessable content",
    429: "Too many requests",
    431: "Request header fields too large",
    500: "Internal server error",
    503: "Service unavailable",
}


class Refusal(SluiceError):
    """A request that gets a problem answer (RFC 9457). Raise it anywhere in a handler.

    `error` is the stable code in the answer and the class of the security record, `size` the bytes that the record
    tells. `record` False: an everyday refusal, of which no security record is written. `close` ends the connection.
    `told` are sentences for the person at a browser, `facts` what the record says beside class and size.
    """

    code = "E_HTTP"

    def __init__(
        self,
        status: int,
        error: str,
        *,
        size: int = 0,
        headers: Mapping[str, str] | None = None,
        cookies: tuple[str, ...] = (),
        record: bool = True,
        close: bool = False,
        told: tuple[str, ...] = (),
        facts: Mapping[str, str | int] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.size = size
        self.headers = dict(headers or {})
        self.cookies = cookies
        self.record = record
        self.close = close
        self.told = told
        self.facts = dict(facts or {})


def later(error: str, seconds: int = 1, cookies: tuple[str, ...] = ()) -> Refusal:
    """503 with `Retry-After`: something that we depend on is away or full; nothing was decided."""
    return Refusal(503, error, headers={"Retry-After": str(max(1, seconds))}, cookies=cookies, record=False)
