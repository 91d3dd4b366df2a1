"""`Strict-Transport-Security`: on every answer over HTTPS, by the name that an administrator runs, and nowhere else."""

import aiohttp
import pytest

from shared.kernel.clock import FixedClock
from shared.runtime.listener import Listener
from shared.runtime.setting_types import Address
from shared.runtime.settings import CommonSettings

HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "auth.example"}
YEAR = "max-age=31536000"


async def told(path: str, headers: dict[str, str], method: str = "GET", **settings: object) -> tuple[int, str | None]:
    given = {"listen": Address("127.0.0.1", 0), "metrics_listen": None, "trusted_proxies": ("127.0.0.1/32",), **settings}
    listener = Listener([], CommonSettings.model_validate(given), FixedClock())
    await listener.start()
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"http://{listener.address}{path}", headers=headers, allow_redirects=False) as answer,
        ):
            return answer.status, answer.headers.get("Strict-Transport-Security")
    finally:
        await listener.stop()


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/-/seen/", "GET", 200), ("/nowhere/", "GET", 404), ("/-/seen", "GET", 308), ("/-/seen/", "POST", 405)]
)
async def test_every_answer_over_https_has_it(path: str, method: str, status: int) -> None:
    assert await told(path, HTTPS, method) == (status, YEAR)


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"X-Forwarded-Host": "auth.example"}, {**HTTPS, "X-Forwarded-Proto": "http"}, {**HTTPS, "X-Forwarded-Host": "localhost:9000"},
        {**HTTPS, "X-Forwarded-Host": "app.localhost"},
    ],
)  # fmt: skip
async def test_plain_http_and_the_machines_own_name_do_not(headers: dict[str, str]) -> None:
    assert (await told("/-/seen/", headers))[1] is None


async def test_a_stranger_cannot_make_us_say_it() -> None:
    assert (await told("/-/seen/", HTTPS, trusted_proxies=()))[1] is None


async def test_as_the_settings_say() -> None:
    assert (await told("/-/seen/", HTTPS, hsts_max_age=0))[1] is None
    assert (await told("/-/seen/", HTTPS, hsts_max_age=60, hsts_subdomains=True))[1] == "max-age=60; includeSubDomains"
