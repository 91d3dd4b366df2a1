"""Two real `sluice up`, one at the root and one under a path, and real fronts before them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.e2e.fronts.fronts import FRONTS, Front, Tls, nginx, running
from tests.e2e.sluice_process import SluiceUp

PASSWORD: Final = "the password of akadmin"
BEHIND: Final = {
    "SLUICE_TRUSTED_PROXIES": "127.0.0.1/32",
    "SLUICE_ALLOWED_HOSTS": "localhost,127.0.0.1",
    "SLUICE_BOOTSTRAP_PASSWORD": PASSWORD,
}


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls.made(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SluiceUp]:
    with SluiceUp(tmp_path_factory.mktemp("root") / "data", BEHIND) as process:
        yield process


@pytest.fixture(scope="session")
def up_under_a_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SluiceUp]:
    with SluiceUp(tmp_path_factory.mktemp("path") / "data", {**BEHIND, "SLUICE_PATH": "/auth"}) as process:
        yield process


def port_of(up: SluiceUp) -> int:
    return urlsplit(up.base_url).port or 0


@pytest.fixture(scope="session", params=FRONTS)
def front(request: pytest.FixtureRequest, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    name = str(request.param)
    folder = tmp_path_factory.mktemp(name)
    FRONTS[name](folder, tls, 1, {"": 1})  # skips here where it is not installed, before anything is started
    upstreams = {"": port_of(request.getfixturevalue("up"))}
    with running(name, folder, tls, lambda port: FRONTS[name](folder, tls, port, upstreams)) as found:
        yield found


@pytest.fixture(scope="session")
def nginx_with_paths(request: pytest.FixtureRequest, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """`/auth/` passed on as it is to the one that knows of it, `/login/` taken off for the one that does not."""
    folder = tmp_path_factory.mktemp("nginx-path")
    nginx(folder, tls, 1, {"": 1})
    ports = {"": port_of(request.getfixturevalue("up_under_a_path")), "root": port_of(request.getfixturevalue("up"))}
    yield from _with_paths(folder, tls, ports)


def _with_paths(folder: Path, tls: Tls, ports: dict[str, int]) -> Iterator[Front]:
    other = {"proxy_pass http://sluice/;": f"proxy_pass http://127.0.0.1:{ports['root']}/;"}
    with running("nginx", folder, tls, lambda port: nginx(folder, tls, port, ports, "nginx-path.conf", **other)) as found:
        yield found
