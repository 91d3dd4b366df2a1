"""What is said at start about fronts: the usual mistakes, and nothing where there is none."""

from typing import Any

import pytest

from services.executor.settings import Settings
from shared.kernel.variables import Misconfigured
from shared.runtime.environment import load
from shared.runtime.fronts import warnings
from shared.runtime.settings import CommonSettings

FRONT = {"trusted_proxies": "10.0.0.0/8", "allowed_hosts": "login.example"}


@pytest.mark.parametrize(
    ("given", "about"),
    [
        ({}, []),
        (FRONT, []),
        ({"allowed_hosts": "localhost,127.0.0.1"}, []),
        ({"allowed_hosts": "login.example"}, ["TRUSTED_PROXIES"]),
        ({"cookie_host_prefix": "true"}, ["TRUSTED_PROXIES"]),
        ({"hsts_subdomains": "true"}, ["TRUSTED_PROXIES"]),
        ({"cookie_same_site": "None"}, ["TRUSTED_PROXIES"]),
        ({"listen": "0.0.0.0:9000"}, ["TRUSTED_PROXIES"]),
        ({"listen": "[::]:9000"}, ["TRUSTED_PROXIES"]),
        ({"listen": "[::1]:9000"}, []),
        ({**FRONT, "listen": "0.0.0.0:9000"}, []),
        ({**FRONT, "trusted_proxies": "0.0.0.0/0"}, ["TRUSTED_PROXIES"]),
        ({**FRONT, "trusted_proxies": "10.0.0.0/8,::/0"}, ["TRUSTED_PROXIES"]),
        ({"trusted_proxies": "10.0.0.0/8"}, ["ALLOWED_HOSTS"]),
        ({**FRONT, "cookie_host_prefix": "false"}, ["COOKIE_HOST_PREFIX"]),
    ],
)
def test_a_start_warns_of_what_is_usually_forgotten(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], about: list[str]) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"SLUICE_{name.upper()}", value)
    assert [text.split(" ")[0].removeprefix("SLUICE_") for text in warnings(load(Settings))] == about


@pytest.mark.parametrize(
    "given",
    [
        {"allowed_hosts": "https://login.example"}, {"allowed_hosts": "login.example/x"}, {"allowed_hosts": "*.example"}, {"allowed_hosts": "a b"},
        {"path": "auth"}, {"path": "//evil.example"}, {"path": "/a/../b"}, {"path": "/if"}, {"path": "/static/x"}, {"path": "/-"}, {"path": "/a?b"},
        {"forwarded_headers": "x"}, {"hsts_max_age": "-1"}, {"trusted_proxies": "10.0.0.1/8"},
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    [(name, value)] = given.items()
    monkeypatch.setenv(f"SLUICE_{name.upper()}", value)
    with pytest.raises(Misconfigured, match=f"SLUICE_{name.upper()}"):
        load(CommonSettings)


def test_a_path_is_written_with_or_without_its_last_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: dict[str, Any] = {"/auth/": "/auth", "/auth": "/auth", "/": "", "/a/b": "/a/b", "/iframe": "/iframe"}
    for text, path in wanted.items():
        monkeypatch.setenv("SLUICE_PATH", text)
        assert load(CommonSettings).path == path
