"""A hundred thousand cookies that we did not make: flipped, cut, spliced, mixed up, of another key, release or installation.

Each goes through the reader that every request goes through. What comes out is either nothing or what we ourselves once
put into exactly this value; never another session, login, rotation, step or command.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, cast

import pytest
from aiohttp import web

from services.executor.edge.cookies import Cookies, Jar, SessionCookie
from services.executor.edge.csrf import Csrf
from services.executor.edge.settings import EdgeSettings
from shared.contracts import wire
from shared.contracts.people import LoginClaims
from shared.contracts.steps import Shown
from shared.web.client import Client
from shared.web.errors import Refusal
from shared.web.keyring import MAC_BYTES, KeyRing

FORGERIES = 100_000
KEYS = (b"now" * 12, b"before" * 6)
PLAIN, TLS = Client("192.0.2.7", False, "login.example"), Client("192.0.2.7", True, "login.example")
SESSIONS = [f"{number:02x}.{hashlib.sha256(bytes([number])).hexdigest()[:22]}" for number in range(6)]
FLOWS = ("default-authentication-flow", "default-invalidation-flow", "a")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def claims(number: int) -> LoginClaims:
    return LoginClaims(
        login=f"l{number}", user=number, uid=f"u{number}", username=("alice", "bob", "root")[number % 3], methods=("password",),
        at_us=number, expires_us=None, persistent=bool(number % 2), epoch=number,
    )  # fmt: skip


class Dice:
    """Chance that is the same every time (SHAKE-256 of a name and a count)."""

    def __init__(self, name: str) -> None:
        self._name, self._count = name, 0

    def below(self, bound: int) -> int:
        self._count += 1
        return int.from_bytes(hashlib.shake_256(f"{self._name}/{self._count}".encode()).digest(8), "big") % bound

    def bytes(self, size: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(f"{self._name}/{self._count}".encode()).digest(size)

    def one(self, values: list[Any]) -> Any:
        return values[self.below(len(values))]


class Issued:
    """All that this installation has given out, and what each value means; beside it another installation and other purposes."""

    def __init__(self) -> None:
        self.cookies = Cookies(EdgeSettings(secrets=KEYS))
        self.before = Cookies(EdgeSettings(secrets=KEYS[1:]))
        self.sessions: dict[str, tuple[str, int, LoginClaims | None]] = {}
        self.steps: dict[str, tuple[str, str, Shown]] = {}
        self.commands: dict[str, tuple[str, str]] = {}
        for number, session in enumerate(SESSIONS):
            for rotation in range(3):
                login = claims(number) if rotation else None
                for maker in (self.cookies, self.before):
                    self.sessions[maker.session(session, rotation, login, number)] = (session, rotation, login)
            for flow in FLOWS:
                shown = Shown(run=f"r{number}" * 11, transition=f"t{number}" * 11, version=number)
                self.steps[self.cookies.step(session, flow, shown)] = (session, flow, shown)
            self.commands[self.cookies.command(session, f"c{number}" * 11, "r" * 22, b"body")] = (session, f"c{number}" * 11)
        self.ours = [*self.sessions, *self.steps, *self.commands]
        elsewhere = Cookies(EdgeSettings(secrets=(b"mallory!" * 4,)))
        csrf = Csrf(KEYS)
        self.foreign = [elsewhere.session(session, 9, claims(2), 1) for session in SESSIONS]
        self.foreign += [elsewhere.step(SESSIONS[0], flow, Shown(run="r" * 22, transition="t" * 22, version=1)) for flow in FLOWS]
        self.foreign += [csrf.new(claims(1)), csrf.new(None), csrf.form(csrf.new(None), SESSIONS[0])]


ISSUED = Issued()
Forger = Callable[[Dice], str]


def raw(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def flipped(dice: Dice) -> str:
    body = bytearray(raw(dice.one(ISSUED.ours)))
    for _ in range(1 + dice.below(3)):
        body[dice.below(len(body))] ^= 1 << dice.below(8)
    return text(bytes(body))


def respelt(dice: Dice) -> str:
    """Other characters that stand for the same, or nearly the same, bytes."""
    value = dice.one(ISSUED.ours)
    at = dice.below(len(value))
    changes = [
        value + "=" * (1 + dice.below(3)),
        value[:-1] + ALPHABET[dice.below(64)],
        value[:at] + dice.one(list("+/=%.~!")) + value[at:],
        value[:at] + value[at:].swapcase(),
        value[:at] + f"%{ord(value[at]):02X}" + value[at + 1 :],
        f'"{value}"',
        value + ALPHABET[dice.below(64)],
        value.replace("-", "+").replace("_", "/") + "=",
    ]
    return cast("str", dice.one(changes))


def cut(dice: Dice) -> str:
    value = dice.one(ISSUED.ours)
    at, end = dice.below(len(value)), dice.below(len(value))
    return cast("str", dice.one([value[:at], value[at:], value[min(at, end) : max(at, end)], value[:at] + value[end:], value * 2]))


def spliced(dice: Dice) -> str:
    """The head of one and the tail of another, at the same or at another place; blocks of 16 bytes too."""
    first, second = raw(dice.one(ISSUED.ours)), raw(dice.one(ISSUED.ours))
    at, other = dice.below(len(first)), dice.below(len(second))
    block = 16 * dice.below(max(len(first) // 16, 1))
    return text(
        dice.one([first[:at] + second[at:], first[:at] + second[other:], first[:block] + second[block : block + 16] + first[block + 16 :]])
    )


def wrong_purpose(dice: Dice) -> str:
    """Sealed or proved rightly, by the right secret, for something else; or in the shape of earlier releases."""
    login = claims(dice.below(3))
    body = wire.pack({"session": dice.one(SESSIONS), "rotation": dice.below(4), "login": login.model_dump()})
    ring = KeyRing(
        KEYS, dice.one(["cookie/session/1", "cookie/session/3", "cookie/step/1", "cookie/command/1", "csrf/cookie/1", "", "assertion"])
    )
    proof = KeyRing(KEYS, "cookie/session/2").proof(body)
    return text(
        dice.one(
            [ring.sealed(body), ring.proof(body) + body, proof + body, body, ring.proof(b"") + body, bytes(24) + body, bytes(16) + body]
        )
    )


def foreign(dice: Dice) -> str:
    value = dice.one(ISSUED.foreign)
    return cast("str", dice.one([value, value[: dice.below(len(value))], text(raw(dice.one(ISSUED.ours))[:24] + raw(value)[24:])]))


def invented(dice: Dice) -> str:
    size = 1 + dice.below(300)
    plain = f'{{"session":"{dice.one(SESSIONS)}","rotation":1,"login":{{"user":0}}}}'.encode()
    jwt = ".".join(text(part) for part in (b'{"alg":"none"}', plain, dice.bytes(dice.below(3))))
    return cast(
        "str",
        dice.one([text(dice.bytes(size)), text(bytes(size)), dice.one(SESSIONS), jwt, text(plain), "A" * size, "A" * 4000, "null", ""]),
    )


def in_another_place(dice: Dice) -> str:
    """Genuine, but of another kind, session or flow: who reads it decides."""
    return cast("str", dice.one(ISSUED.ours))


FORGERS: list[Forger] = [flipped, respelt, cut, spliced, wrong_purpose, foreign, invented, in_another_place]


def forged(name: str, count: int) -> Iterator[str]:
    dice = Dice(name)
    return islice((forger(dice) for _ in range(count) for forger in FORGERS), count)


def read(value: str, client: Client, *, beside: str = "") -> Jar | None:
    """What the edge reads of a request that sends this value as every cookie of ours; None if it refuses the request."""
    prefix = "__Host-" if client.secure else ""
    names = (f"{prefix}authentik_session", "sluice_step", "sluice_command")
    line = "; ".join([*(f"{name}={value}" for name in names), *([f"{prefix}authentik_session={beside}"] if beside else [])])
    request = cast("web.Request", type("Request", (), {"raw_headers": ((b"Cookie", line.encode("latin-1", "replace")),)}))
    try:
        return ISSUED.cookies.read(request, client)
    except Refusal as refused:
        if refused.error not in ("cookie_bytes", "cookie_too_large", "cookie_doubled"):
            raise
        return None


def means(cookie: SessionCookie) -> tuple[str, int, LoginClaims | None]:
    return cookie.session, cookie.rotation, cookie.login


def test_what_we_made_is_read_back_or_the_rest_shows_nothing() -> None:
    for client in (PLAIN, TLS):
        for value, meant in ISSUED.sessions.items():
            jar = read(value, client)
            assert jar is not None and jar.session is not None and means(jar.session) == meant
    for value, (session, flow, shown) in ISSUED.steps.items():
        assert ISSUED.cookies.shown(value, session, flow) == shown
    for value, (session, command) in ISSUED.commands.items():
        found = ISSUED.cookies.awaited(value, session)
        assert found and (found.command, found.run) == (command, "r" * 22)


@pytest.mark.parametrize("client", [PLAIN, TLS], ids=["http", "https"])
def test_no_session_but_what_we_put_into_this_very_value(client: Client) -> None:
    for value in forged(f"session/{client.secure}", FORGERIES // 2):
        jar = read(value, client)
        if jar is not None and jar.session is not None:
            assert means(jar.session) == ISSUED.sessions[value]


def test_no_step_or_command_but_of_its_own_session_and_flow() -> None:
    dice = Dice("places")
    for value in forged("step", FORGERIES // 4):
        session, flow = dice.one(SESSIONS), dice.one(list(FLOWS))
        shown, command = ISSUED.cookies.shown(value, session, flow), ISSUED.cookies.awaited(value, session)
        assert shown is None or (session, flow, shown) == ISSUED.steps[value]
        assert command is None or (session, command.command) == ISSUED.commands[value]


def test_a_forgery_beside_the_visitors_own_cookie_changes_nothing() -> None:
    own = [value for value, (_, rotation, _) in ISSUED.sessions.items() if rotation == 2]
    dice = Dice("beside")
    for value in forged("beside", FORGERIES // 4):
        mine = dice.one(own)
        jar = read(value, TLS, beside=mine)
        if value in ISSUED.sessions and ISSUED.sessions[value][0] != ISSUED.sessions[mine][0]:
            assert jar is None  # two that prove themselves: refused, and both are cleared
        elif jar is not None:
            assert jar.session is not None
            assert jar.session.session == ISSUED.sessions[mine][0]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "authentik_session",
            "__host-authentik_session",
            "__HOST-authentik_session",
            "__Host-Authentik_Session",
            "__Secure-authentik_session",
        ),
        *("$__Host-authentik_session", " __Host-authentik_session_", "__Host-authentik_session\u00a0", "__Host-authentik_session[0]"),
        *(
            '"__Host-authentik_session"',
            "__Host-authentik%5Fsession",
            "__Host-authentik.session",
            "x; __Host-",
            "__Host-authentik_session\x00",
        ),
    ],
)
def test_over_https_no_other_name_is_read_not_even_with_a_value_of_ours(name: str) -> None:
    value = next(iter(ISSUED.sessions))
    request = cast("web.Request", type("Request", (), {"raw_headers": ((b"Cookie", f"{name}={value}".encode()),)}))
    assert ISSUED.cookies.read(request, TLS).session is None


def test_what_was_proved_apart_cannot_be_parted_otherwise() -> None:
    """A proof over "ab" and "c" is none over "a" and "bc"."""
    for value, (session, _) in ISSUED.commands.items():
        proof, body = raw(value)[:MAC_BYTES], raw(value)[MAC_BYTES:]
        for at in range(1, len(body)):
            assert ISSUED.cookies.awaited(text(proof + body[at:]), session + body[:at].decode("latin-1")) is None
        for at in range(1, len(session)):
            assert ISSUED.cookies.awaited(text(proof + session[-at:].encode() + body), session[:-at]) is None
