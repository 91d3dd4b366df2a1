"""Guesses over HTTP at a running Sluice, from many addresses: what strangers, the owner and the administrator are shown and told."""

import json
import re
import urllib.request
from collections.abc import Iterator
from html import unescape
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from shared.flows.stage_types.password import ADDRESS_LIMITED, LOCKED, TOO_MANY
from tests.e2e.sluice_process import SluiceUp
from tests.security.account_zoo import AUTHENTICATION, Stranger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = f"/if/flow/{AUTHENTICATION}/"
API = f"/api/v3/flows/executor/{AUTHENTICATION}/?query="
SETTINGS = {
    "SLUICE_TEST": "1", "SLUICE_HASH_TEST_COST": "1", "SLUICE_ATTEMPTS_PER_ACCOUNT": "30", "SLUICE_ATTEMPTS_PER_ADDRESS": "40",
    "SLUICE_TRUSTED_PROXIES": "127.0.0.0/8", "SLUICE_ALLOWED_HOSTS": "localhost,127.0.0.1",
}  # fmt: skip


class Guesser(Stranger):
    """A browser at an address, behind a proxy that says which."""

    def __init__(self, up: SluiceUp, typed: str, address: str) -> None:
        super().__init__(up.base_url, typed)
        self._from = address
        self._name = typed

    def _send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> str:
        return super()._send(method, path, {**headers, "X-Forwarded-For": self._from}, body)

    def elsewhere(self, address: str) -> Self:
        """The same browser, carried to another place."""
        self._from = address
        return self

    def cookie(self, name: str) -> str | None:
        """The value of a cookie, None if there is none."""
        return self._jar.get((name, "/"))

    def by_page(self, *passwords: str) -> str:
        """Guess by the page's forms; the last page."""
        page = self.submit(PAGE, self.page(PAGE), uid_field=self._name)
        for password in passwords:
            page = self.submit(PAGE, page, password=password)
        return page

    def by_json(self, *passwords: str) -> Any:
        """Guess by JSON; the last challenge."""
        self.json(API)
        came = self.json(API, {"component": "ak-stage-identification", "uid_field": self._name})
        for password in passwords:
            came = self.json(API, {"component": "ak-stage-password", "password": password})
        return came


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SluiceUp]:
    folder: Path = tmp_path_factory.mktemp("guessing")
    with SluiceUp(folder / "data", SETTINGS) as started:
        names = ["alice", "bob", "carol", "dora", "erin", "fred", "gina", "hugo", "iris"]
        (folder / "users.csv").write_text("username,email,name,password\n" + "".join(f"{name},,,right-{name}\n" for name in names))
        started.command("users", "import", str(folder / "users.csv"))
        started.command("users", "disable", "dora")
        yield started


def logged(up: SluiceUp, address: str) -> list[dict[str, Any]]:
    lines = [line for line in up.output.splitlines() if '"security.login_failed"' in line]
    return [line for line in map(json.loads, lines) if line["address"] == address]


def attack(up: SluiceUp, name: str, addresses: list[str], sessions: int = 3) -> None:
    """Four wrong guesses in each of so many sessions from each address."""
    for address in addresses:
        for _ in range(sessions):
            Guesser(up, name, address).by_json("a", "b", "c", "d")


@pytest.mark.parametrize(("name", "address"), [("alice", "192.0.2.1"), ("dora", "192.0.2.2"), ("nobody", "192.0.2.3")])
def test_five_wrong_passwords_are_told_in_a_sentence_on_the_page_and_as_recorded_in_json(up: SluiceUp, name: str, address: str) -> None:
    page = Guesser(up, name, address).by_page("1", "2", "3", "4", "5")
    assert TOO_MANY in unescape(page)
    assert "Unknown error" not in page
    denied = Guesser(up, name, address).by_json("1", "2", "3", "4", "5")
    assert (denied["component"], denied["error_message"]) == ("ak-stage-access-denied", "Unknown error")
    assert TOO_MANY not in json.dumps(denied)


def test_an_account_that_is_attacked_from_one_address_is_open_to_its_owner_at_another(up: SluiceUp) -> None:
    attack(up, "bob", ["192.0.2.66"])
    assert Guesser(up, "bob", "192.0.2.66").by_json("right-bob")["response_errors"]["password"][0]["string"] == "Invalid password"
    assert Guesser(up, "bob", "203.0.113.1").by_json("right-bob")["component"] == "xak-flow-redirect"


def test_strangers_are_shut_out_together_and_the_owners_network_is_not(up: SluiceUp) -> None:
    assert Guesser(up, "carol", "203.0.113.2").by_json("right-carol")["component"] == "xak-flow-redirect"
    attack(up, "carol", [f"198.51.100.{n}" for n in range(1, 5)])
    assert Guesser(up, "carol", "192.0.2.99").by_json("right-carol")["component"] == "ak-stage-password"
    assert Guesser(up, "carol", "203.0.113.2").by_json("right-carol")["component"] == "xak-flow-redirect"


def test_the_browser_of_the_owner_gets_in_from_anywhere_while_strangers_are_shut_out(up: SluiceUp) -> None:
    browser = Guesser(up, "gina", "203.0.113.3")
    assert browser.cookie("sluice_device") is None
    browser.by_page("right-gina")
    device = browser.cookie("sluice_device")
    assert device
    assert "gina" not in device
    browser.page("/flows/-/default/invalidation/")
    assert browser.cookie("sluice_device") == device
    attack(up, "gina", [f"198.51.100.{n}" for n in range(31, 35)])
    assert Guesser(up, "gina", "192.0.2.90").by_json("right-gina")["component"] == "ak-stage-password"
    assert browser.elsewhere("192.0.2.90").by_json("right-gina")["component"] == "xak-flow-redirect"
    assert browser.cookie("sluice_device") != device


def test_the_browser_of_somebody_else_is_a_strangers_and_learns_nothing(up: SluiceUp) -> None:
    other = Guesser(up, "alice", "203.0.113.4")
    other.by_page("right-alice")
    other.page("/flows/-/default/invalidation/")
    attack(up, "hugo", [f"198.51.100.{n}" for n in range(41, 45)])
    other._name = "hugo"
    page = other.elsewhere("192.0.2.91").by_page("right-hugo")
    assert "Invalid password" in page
    assert LOCKED not in unescape(page)


def test_the_owners_browser_is_told_that_the_account_is_locked_on_the_page_alone(up: SluiceUp) -> None:
    browser = Guesser(up, "iris", "203.0.113.5")
    browser.by_json("right-iris")
    attack(up, "iris", [f"198.51.100.{n}" for n in range(51, 55)])
    browser.page("/flows/-/default/invalidation/")
    for n in range(12):  # its own slots, too, one place after the other
        browser.elsewhere(f"192.0.2.{100 + n}").by_json("1", "2", "3", "4")
    denied = browser.elsewhere("192.0.2.120").by_json("right-iris")
    assert LOCKED not in json.dumps(denied)
    page = browser.by_page("right-iris")
    assert LOCKED in unescape(page)
    assert LOCKED not in unescape(Guesser(up, "iris", "192.0.2.121").by_page("right-iris"))


def test_an_administrator_unlocks_at_a_terminal_and_over_http(up: SluiceUp) -> None:
    attack(up, "erin", [f"198.51.100.{n}" for n in range(11, 15)])
    assert Guesser(up, "erin", "192.0.2.98").by_json("right-erin")["component"] == "ak-stage-password"
    assert "erin is unlocked (for strangers, for a network)" in up.command("users", "unlock", "erin").stdout
    assert Guesser(up, "erin", "192.0.2.98").by_json("right-erin")["component"] == "xak-flow-redirect"
    assert "erin was not locked" in up.command("users", "unlock", "erin").stdout
    attack(up, "fred", [f"198.51.100.{n}" for n in range(21, 25)])
    headers = {"Authorization": f"Bearer {up.token}"}
    with urllib.request.urlopen(urllib.request.Request(f"{up.base_url}/api/v3/core/users/?username=fred", headers=headers)) as answer:  # noqa: S310
        pk = json.load(answer)["results"][0]["pk"]
    unlock = urllib.request.Request(f"{up.base_url}/api/sluice/v1/users/{pk}/unlock/", b"", headers, method="POST")  # noqa: S310
    with urllib.request.urlopen(unlock) as answer:  # noqa: S310
        assert json.load(answer) == {"user": pk, "locked": ["account", "network"]}
    assert Guesser(up, "fred", "192.0.2.97").by_json("right-fred")["component"] == "xak-flow-redirect"
    told = [json.loads(line) for line in up.command("tail", "directory.events", "--json", "--from-beginning").stdout.splitlines()]
    events = [line["facts"] for line in told if line["facts"].get("what") in ("locked", "unlocked")]
    assert {(event["facts"]["username"], event["what"]) for event in events} >= {
        ("erin", "locked"), ("erin", "unlocked"), ("fred", "locked"), ("fred", "unlocked"),
    }  # fmt: skip
    assert [event["facts"]["by"] for event in events if event["what"] == "unlocked"] == ["command line", "command line", "akadmin"]


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_an_address_that_has_had_its_guesses_is_told_so_for_every_name(up: SluiceUp, name: str) -> None:
    address = {"alice": "192.0.2.31", "nobody": "192.0.2.32"}[name]
    for n in range(10):
        Guesser(up, f"made-up-{n}", address).by_json("1", "2", "3", "4")
    page = Guesser(up, name, address).by_page("x")
    assert ADDRESS_LIMITED in unescape(page)
    assert "Invalid password" in page
    assert ADDRESS_LIMITED not in json.dumps(Guesser(up, name, address).by_json("x"))


def test_the_log_has_a_line_for_each_failure_that_names_where_and_never_whom(up: SluiceUp) -> None:
    before = len(logged(up, "192.0.2.41"))
    Guesser(up, "canary-of-a-name", "192.0.2.41").by_page("canary-of-a-password", "2")
    Guesser(up, "Canary-Of-A-Name", "192.0.2.41").by_json("3")
    lines = logged(up, "192.0.2.41")[before:]
    assert [(line["flow"], line["stage"], line["limited"]) for line in lines] == [
        (AUTHENTICATION, "default-authentication-password", "")
    ] * 3
    assert len({line["name_digest"] for line in lines}) == 1
    assert re.fullmatch(r"[0-9a-f]{16}", lines[0]["name_digest"])
    assert "canary-of-a" not in up.output.lower()


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/api/v3/core/users/me/", 403), ("/api/v3/core/users/", 403), ("/api/sluice/v1/users/1/unlock/", 401), (API, 200),
        ("/api/v3/flows/instances/", 403),
    ],
)  # fmt: skip
def test_wrong_bearer_tokens_are_limited_on_every_route_that_takes_one(up: SluiceUp, path: str, wrong: int) -> None:
    address = f"192.0.2.{150 + len(path)}"

    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": address, "Accept": "application/json"}
        method = "POST" if path.endswith("unlock/") else "GET"
        connection = HTTPConnection(urlsplit(up.base_url).netloc, timeout=60)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    assert [status(f"guess-{n}") for n in range(42)] == [wrong] * 40 + [429] * 2
    assert status(up.token) == 200
    assert status("guess") == 429
