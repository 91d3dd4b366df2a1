"""A stranger says who they are, and where, by headers that only a trusted front may write: worth nothing."""

import pytest

from shared.web.client import Clients
from tests.integration.edge.conftest import Browser, Rig
from tests.integration.edge.raw import send
from tests.integration.edge.scripted_worker import AUTH
from tests.integration.edge.test_limits import get

PAGE = f"/if/flow/{AUTH}/"
CLAIMS = [
    b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-For: 6.6.6.6", b"x-forwarded-for: 10.0.0.1, 6.6.6.6", b"Forwarded: for=6.6.6.6;proto=https;host=evil.example",
    b"X-Forwarded-Proto: https", b"X-Forwarded-Host: evil.example", b"X-Forwarded-Port: 8443", b"X-Forwarded-Prefix: /evil", b"X-Real-IP: 6.6.6.6",
    b"True-Client-IP: 6.6.6.6", b"CF-Connecting-IP: 6.6.6.6", b"X-Client-IP: 6.6.6.6", b"X-Original-Host: evil.example", b"X-Forwarded-Server: evil.example",
    b"X-Forwarded-Ssl: on", b"Front-End-Https: on", b"X-Scheme: https", b"X-Envoy-External-Address: 6.6.6.6", b"X_Forwarded_For: 6.6.6.6",
]  # fmt: skip


def seen(rig: Rig) -> tuple[str, bool, str]:
    step = rig.worker.steps[-1]
    return step.address, step.secure, step.host


@pytest.mark.parametrize("claim", CLAIMS)
async def test_without_a_trusted_front_the_connection_is_the_only_truth(rig: Rig, claim: bytes) -> None:
    answer = await send(rig.address, get(claim, target=PAGE.encode()))
    assert (answer.status, seen(rig)) == (200, ("127.0.0.1", False, "localhost"))
    assert b"evil" not in answer.body and "evil" not in answer.head
    assert "Secure" not in answer.head


class TestThroughATrustedFront:
    """The stranger's own headers reach us with those of the front, which appends to some and lets others through."""

    @pytest.fixture
    def clients(self) -> Clients:
        return Clients(["127.0.0.1/32", "10.0.0.0/8"])

    @pytest.mark.parametrize(
        "begun",
        ["6.6.6.6", "10.0.0.1", "127.0.0.1", "unknown", "_x", "6.6.6.6, 10.0.0.1", ",", "[::1]:80", "6.6.6.6, 6.6.6.7", "a" * 3000, "10.0.0.9, " * 500],
    )  # fmt: skip
    async def test_what_a_stranger_begins_a_list_with_is_not_their_address(self, rig: Rig, begun: str) -> None:
        await send(rig.address, get(f"X-Forwarded-For: {begun}, 203.0.113.9".encode()))
        await send(rig.address, get(f"X-Forwarded-For: {begun}".encode(), b"X-Forwarded-For: 203.0.113.9, 10.0.0.7"))
        assert [step.address for step in rig.worker.steps] == ["203.0.113.9"] * 2
        assert rig.records.kinds == []

    @pytest.mark.parametrize("own", ["for=6.6.6.6;host=evil.example;proto=https", "for=unknown", "host=evil.example", "by=_x"])
    async def test_a_strangers_forwarded_counts_for_nothing_beside_the_fronts_headers(self, rig: Rig, own: str) -> None:
        front = (b"X-Forwarded-For: 203.0.113.9", b"X-Forwarded-Proto: http")
        await send(rig.address, get(f"Forwarded: {own}".encode(), *front))
        assert seen(rig) == ("203.0.113.9", False, "localhost")

    async def test_a_strangers_forwarded_element_lends_nothing_to_the_fronts(self, rig: Rig) -> None:
        await send(rig.address, get(b"Forwarded: proto=https;host=evil.example, for=203.0.113.9"))
        assert seen(rig) == ("203.0.113.9", False, "localhost")

    async def test_the_peer_is_not_trusted_for_having_written_a_trusted_address(self, rig: Rig) -> None:
        await send(rig.address, get(b"X-Forwarded-For: 10.0.0.5"))
        assert seen(rig)[0] == "10.0.0.5"

    @pytest.mark.parametrize(
        "host", ["evil.example@auth.example", "auth.example/evil", "a\tb", "auth.example#", "[::1", "auth..", "-" * 400]
    )
    async def test_a_forwarded_host_that_is_none_is_not_shown_to_anybody(self, rig: Rig, host: str) -> None:
        answer = await send(rig.address, get(f"X-Forwarded-Host: {host}".encode()))
        assert (answer.status, seen(rig)[2]) == (200, "localhost")
        assert rig.records.kinds == ["forwarded_host"]


class TestHosts:
    @pytest.fixture
    def clients(self) -> Clients:
        return Clients(["127.0.0.1/32"], ["auth.example", "jürgen.example", "other.example:8443"])

    @pytest.mark.parametrize("host", ["auth.example", "AUTH.EXAMPLE.", "auth.example:1234", "xn--jrgen-kva.example", "other.example:8443"])
    async def test_the_hosts_that_are_served(self, rig: Rig, host: str) -> None:
        assert (await send(rig.address, get(host=f"Host: {host}\r\n".encode()))).status == 200

    @pytest.mark.parametrize(
        "claim",
        ["Host: evil.example", "Host: auth.example.evil.example", "Host: xauth.example", "Host: other.example", "Host: other.example:8444", "Host: 127.0.0.1"],
    )  # fmt: skip
    async def test_no_other_is(self, rig: Rig, claim: str) -> None:
        assert (await send(rig.address, get(host=f"{claim}\r\n".encode()))).status == 421
        forwarded = claim.replace("Host", "X-Forwarded-Host").encode()
        assert (await send(rig.address, get(forwarded, host=b"Host: auth.example\r\n"))).status == 421
        assert rig.worker.steps == []

    @pytest.mark.parametrize(
        ("claim", "told"),
        [
            ("EVIL.example.", "evil.example"),
            ("evil.example:81", "evil.example:81"),
            ("b\u00fccher.example", "xn--bcher-kva.example"),
            ("[0:0::1]", "[::1]"),
        ],
    )
    async def test_the_administrator_learns_which_and_what_to_change(self, rig: Rig, claim: str, told: str) -> None:
        answer = await send(rig.address, get(b"Accept: text/html", target=PAGE.encode(), host=f"Host: {claim}\r\n".encode()))
        assert (answer.status, b"SLUICE_ALLOWED_HOSTS" in answer.body) == (421, True)
        assert claim.encode() not in answer.body
        [facts] = rig.records.facts
        assert (rig.records.kinds, facts["host"], facts["change"]) == (["host_unknown"], told, "SLUICE_ALLOWED_HOSTS")


async def test_no_header_of_anybody_makes_a_cookie_secure_that_a_browser_would_drop(rig: Rig, browser: Browser) -> None:
    answer = await browser.send("GET", PAGE, {"X-Forwarded-Proto": "https"})
    assert not any("Secure" in line or "__Host-" in line for line in answer.headers.getall("Set-Cookie"))
