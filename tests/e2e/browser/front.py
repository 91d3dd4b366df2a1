"""A front before Sluice, as gateways are: it hands everything on, except the application, which sends the browser to another host."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar, Final
from urllib.parse import urlsplit

APPLICATION: Final = "/app/"
LANDED: Final = "You are in the application."
_HOPS: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@contextmanager
def front(behind: str) -> Iterator[tuple[str, str]]:
    """The addresses of a front before `behind`, and of the other host that its application sends to."""
    with _served(_Landing) as landing, _served(type("Front", (_Front,), {"behind": urlsplit(behind).netloc, "landing": landing})) as before:
        yield before, landing


@contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    # Another port of another name: neither origin nor site is the front's.
    name = "localhost" if handler is _Landing else "127.0.0.1"
    try:
        yield f"http://{name}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """A test's output is its own."""


class _Landing(_Quiet):
    def do_GET(self) -> None:
        """The application, on its own host."""
        body = f"<!doctype html><title>Application</title><main>{LANDED}</main>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Front(_Quiet):
    behind: ClassVar[str]
    landing: ClassVar[str]

    def do_GET(self) -> None:
        """The application's entry is a redirect to another host; everything else is Sluice's."""
        if self.path.startswith(APPLICATION):
            self.send_response(302)
            self.send_header("Location", f"{self.landing}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._hand_on(None)

    def do_POST(self) -> None:
        """Handed on."""
        self._hand_on(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _hand_on(self, body: bytes | None) -> None:
        connection = http.client.HTTPConnection(self.behind, timeout=60)
        connection.request(
            self.command, self.path, body, {name: value for name, value in self.headers.items() if name.lower() not in _HOPS}
        )
        answer = connection.getresponse()
        found = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOPS:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        self.wfile.write(found)
        connection.close()
