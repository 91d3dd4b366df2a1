"""Passwords and their hashes: what is one, what it costs, and what is never even hashed."""

import base64
import hashlib
import threading
import unicodedata
from contextlib import ExitStack
from typing import Any

import pytest
from argon2.low_level import Type, hash_secret
from hypothesis import given
from hypothesis import strategies as st

from services.executor.common.ports import Busy
from services.executor.directory import hashing
from services.executor.directory.hashing import HashPool, hash_password, verify_password
from services.executor.rules.imported_hashes import HashRefused, hash_in, is_unusable
from services.executor.rules.passwords import (  # fmt: skip
    TARGET,
    TEST_TARGET,
    Argon2Hash,
    BadPassword,
    Cost,
    Kind,
    Pbkdf2Cost,
    Pbkdf2Hash,
    dummy_of,
    kind_of,
    normalised,
    parse_hash,
)
from shared.kernel.clock import FixedClock, SystemClock

SALT = "c2FsdHNhbHQ"
DIGEST = base64.b64encode(b"x" * 32).decode().rstrip("=")
PBKDF2 = base64.b64encode(hashlib.pbkdf2_hmac("sha256", b"pw", b"NaCl", 100)).decode()


def test_the_target_is_the_profile_that_was_asked_for() -> None:
    assert Cost(passes=2, memory_kib=19 * 1024, lanes=1) == TARGET
    text = hash_password("pw", TARGET)
    assert text.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    parsed = parse_hash(text)
    assert isinstance(parsed, Argon2Hash)
    assert not parsed.is_below(TARGET)
    assert verify_password(parsed, "pw")
    assert not verify_password(parsed, "pw ")


@pytest.mark.parametrize("text", [
    f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}", f"$argon2id$v=19$m=65536,t=3,p=4${SALT}${DIGEST}",
    f"$argon2id$v=19$m=262144,t=4,p=1${SALT}${DIGEST}",
])  # fmt: skip
def test_affordable_argon2id_is_a_hash(text: str) -> None:
    assert isinstance(parse_hash(text), Argon2Hash)


@pytest.mark.parametrize("text", [
    "", "pw", "$argon2id$", f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST} ", f" $argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}\n", f"$argon2id$v=18$m=8,t=1,p=1${SALT}${DIGEST}", f"$argon2i$v=19$m=8,t=1,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=7,t=1,p=1${SALT}${DIGEST}", f"$argon2id$v=19$m=8,t=0,p=1${SALT}${DIGEST}", f"$argon2id$v=19$m=8,t=1,p=2${SALT}${DIGEST}",
    f"$argon2id$v=19$m=262145,t=1,p=1${SALT}${DIGEST}", f"$argon2id$v=19$m=9999999,t=1,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=8,t=17,p=1${SALT}${DIGEST}", f"$argon2id$v=19$m=262144,t=5,p=1${SALT}${DIGEST}",
    f"$argon2id$v=19$m=8,t=1,p=1$c2Fs${DIGEST}", f"$argon2id$v=19$m=8,t=1,p=1${SALT}$eHh4", f"$argon2id$v=19$m=8,t=1,p=1${SALT}=${DIGEST}",
    f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}AA", f"$argon2id$v=19$m=-8,t=1,p=1${SALT}${DIGEST}",
    f"pbkdf2_sha256$0$salt${PBKDF2}", f"pbkdf2_sha256$2000001$salt${PBKDF2}", "pbkdf2_sha256$100$salt$AAAA", f"pbkdf2_sha256$100${PBKDF2}",
    f"pbkdf2_sha1$100$salt${PBKDF2}", f"pbkdf2_sha512$100$salt${PBKDF2}", f"pbkdf2_sha256$100$sa lt${PBKDF2}", f"pbkdf2_sha256$100$salt${PBKDF2}\n", f"pbkdf2_sha256$\u0661$salt${PBKDF2}",
])  # fmt: skip
def test_what_does_not_parse_completely_or_costs_too_much_is_no_hash(text: str) -> None:
    assert parse_hash(text) is None


def test_a_hash_of_django_verifies_the_password_as_it_was_typed_there() -> None:
    stored = parse_hash(f"pbkdf2_sha256$100$NaCl${PBKDF2}")
    assert isinstance(stored, Pbkdf2Hash)
    assert stored.is_below(TEST_TARGET)
    assert verify_password(stored, "pw")
    assert not verify_password(stored, "PW")
    assert not verify_password(stored, "\uff50\uff57"), "one form is hashed"
    raw = "e\u0301\uff11"
    digest = base64.b64encode(hashlib.pbkdf2_hmac("sha256", raw.encode(), b"NaCl", 100)).decode()
    other = parse_hash(f"pbkdf2_sha256$100$NaCl${digest}")
    assert other is not None
    assert verify_password(other, raw)


def test_djangos_other_hashes_are_understood_too() -> None:
    digest = base64.b64encode(hashlib.pbkdf2_hmac("sha1", b"pw", b"NaCl", 100)).decode()
    sha1 = parse_hash(f"pbkdf2_sha1$100$NaCl${digest}")
    assert sha1 is not None
    assert (verify_password(sha1, "pw"), verify_password(sha1, "pw ")) == (True, False)
    argon2 = parse_hash("argon2" + raw_argon2("\uff50\uff57"))
    assert isinstance(argon2, Argon2Hash)
    assert argon2.text.startswith("$argon2id$")
    assert (verify_password(argon2, "\uff50\uff57"), verify_password(argon2, "pw")) == (True, False)


def raw_argon2(password: str) -> str:
    """An argon2id hash as another system makes it: of what was typed."""
    return hash_secret(password.encode(), b"salt" * 4, 1, 8, 1, 32, Type.ID).decode()


FORMS = ["\uff50\uff57", "cafe\u0301", "caf\u00e9", "\u2168 x\u00b2", "50\u20ac\u2026", "\u00b4accent", "stra\u00dfe", "pw\u00a0pw", "pw"]


@pytest.mark.parametrize("password", FORMS)
def test_one_form_of_a_password_is_hashed_once_and_the_hash_says_which(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    form = unicodedata.normalize("NFKC", password)
    hashed: list[bytes] = []

    def pbkdf2(digest: str, given: bytes, *rest: Any) -> bytes:
        hashed.append(given)
        return b""

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", pbkdf2)
    verify_password(parse_hash(f"pbkdf2_sha256$100$NaCl${PBKDF2}") or pytest.fail("no hash"), password)
    assert hashed == [password.encode()]

    def argon2(stored: bytes, given: bytes, kind: Type) -> bool:
        hashed.append(given)
        return False

    monkeypatch.setattr(hashing, "verify_secret", argon2)
    for as_typed in (True, False):
        verify_password(parse_hash(raw_argon2("x"), as_typed=as_typed) or pytest.fail("no hash"), password)
    assert hashed[1:] == [password.encode(), form.encode()]


@pytest.mark.parametrize("kind", [Cost(1, 8), Cost(2, 19456), Cost(3, 65536, 4), Pbkdf2Cost("sha256", 600_000), Pbkdf2Cost("sha1", 1)])
def test_a_dummy_is_of_its_kind_and_a_kind_is_read_off_what_is_stored(kind: Kind) -> None:
    dummy = dummy_of(kind)
    assert dummy.cost == kind
    if isinstance(kind, Cost):
        assert parse_hash(dummy.text) == dummy
        assert kind_of(dummy.text.rsplit("$", 2)[0]) == kind
    else:
        assert kind_of(f"pbkdf2_{kind.digest}${kind.iterations}") == kind
    assert dummy_of(kind) != dummy


@pytest.mark.parametrize("text", ["", "x", "$argon2id$v=19$m=1,t=1,p=1", "pbkdf2_sha256$2000001", "bcrypt"])
def test_what_is_no_kind_is_none(text: str) -> None:
    assert kind_of(text) is None


DJANGO = "A" * 43 + "="
BCRYPT = "$2b$12$" + "a" * 53


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"pbkdf2_sha256$2000001$salt${DJANGO}", "asks for 2000001 iterations, at most 2000000"),
        (f"pbkdf2_sha256$99999999$salt${DJANGO}", "asks for 99999999 iterations"),
        (f"pbkdf2_sha256$9999999999999999999$salt${DJANGO}", "asks for 9999999999999999999 iterations"),
        (f"pbkdf2_sha1$3000000$salt${DJANGO}", "asks for 3000000 iterations"),
        (f"pbkdf2_sha256$0$salt${DJANGO}", "cannot be taken over"),
        (f"pbkdf2_sha512$600000$salt${DJANGO}", "cannot be taken over"),
        (f"$argon2id$v=19$m=9999999,t=1,p=1${SALT}${DIGEST}", "cannot be taken over"),
        (f"argon2$argon2id$v=19$m=262144,t=16,p=1${SALT}${DIGEST}", "cannot be taken over"),
        (f"$argon2i$v=19$m=8,t=1,p=1${SALT}${DIGEST}", "cannot be taken over"),
        (BCRYPT, "cannot be taken over"),
        (f"bcrypt_sha256${BCRYPT}", "cannot be taken over"),
        (f"scrypt$16384$salt$8$1${DJANGO}", "cannot be taken over"),
        ("md5$salt$" + "0" * 32, "cannot be taken over"),
        ("$6$rounds=5000$salt$" + "a" * 86, "cannot be taken over"),
        ("{SSHA}" + "A" * 32, "cannot be taken over"),
    ],
)
def test_a_hash_that_is_not_taken_over_is_refused_and_never_becomes_a_password(text: str, why: str) -> None:
    with pytest.raises(HashRefused, match=why):
        hash_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "pw", "pa$$word", "$ecret1", "$money$", "{x}y", "!", "!secret", "a$b$c$d", "correct horse battery staple", "x",
    ],
)  # fmt: skip
def test_what_only_has_the_signs_of_a_hash_is_a_password(text: str) -> None:
    assert hash_in(text) is None


@pytest.mark.parametrize(
    ("text", "unusable"), [("!" + "a1" * 20, True), ("!", True), ("!secret", False), ("!" + "a" * 41, False), ("", False)]
)
def test_djangos_mark_of_no_password_is_none(text: str, unusable: bool) -> None:
    assert is_unusable(text) is unusable


@given(st.text(max_size=200))
def test_parsing_is_total(text: str) -> None:
    assert parse_hash("$argon2id$" + text) is None or text
    parse_hash("pbkdf2_sha256$" + text)


@pytest.mark.parametrize(("password", "why"), [
    ("", "empty"), ("x" * 1025, "too long"), ("\U0001f600" * 256 + "x", "too long"), ("a\0b", "NUL"), ("\ud800", "no text"),
])  # fmt: skip
def test_what_is_no_password_is_refused_before_it_is_hashed(password: str, why: str) -> None:
    with pytest.raises(BadPassword, match=why):
        normalised(password)


@pytest.mark.parametrize("password", ["x", " ", "x" * 1024, "\U0001f600" * 256, "\ufdfa" * 341])
def test_everything_else_is_one_up_to_1024_bytes(password: str) -> None:
    assert verify_password(parse_hash(hash_password(password, TEST_TARGET)) or pytest.fail("no hash"), password)


def test_forms_of_one_password_are_one() -> None:
    assert normalised("cafe\u0301\u00a0\uff11") == normalised("caf\u00e9 1")


def test_weaker_hashes_are_below_the_target_and_dearer_ones_are_not() -> None:
    def below(memory: int, passes: int) -> bool:
        return Argon2Hash("", Cost(passes, memory)).is_below(TARGET)

    assert below(8, 1)
    assert below(19456, 1)
    assert below(12288, 3)
    assert not below(19456, 2)
    assert not below(47104, 1)
    assert not below(65536, 3)


async def test_a_pool_turns_away_who_finds_no_place_and_takes_the_next() -> None:
    pool = HashPool(SystemClock(), TEST_TARGET, workers=1, waiting=1)
    with pool.place() as place, pool.place():
        with pytest.raises(Busy), pool.place():
            pytest.fail("a third place of two")
        assert await place.verify(None, "pw") is False
    with pool.place() as place:
        parsed = parse_hash(await place.hash("pw"))
        assert await place.verify(parsed, "pw") is True
    pool.close()


async def test_the_wait_for_a_thread_is_told_and_hashing_is_off_the_loop() -> None:
    waits: list[float] = []
    threads: list[str] = []

    def observe(seconds: float) -> None:
        waits.append(seconds)
        threads.append(threading.current_thread().name)

    pool = HashPool(SystemClock(), TEST_TARGET, workers=1, observe_wait=observe)
    with pool.place() as place:
        await place.hash("pw")
    pool.close()
    assert len(waits) == 1
    assert waits[0] >= 0
    assert threads[0].startswith("hash")


def test_what_is_verified_for_nobody_costs_what_the_target_costs() -> None:
    pool = HashPool(SystemClock(), Cost(2, 64))
    dummy = pool.dummy
    assert isinstance(dummy, Argon2Hash)
    assert dummy.cost == Cost(2, 64)
    pool.close()


async def test_the_pool_takes_fewer_when_hashes_take_longer() -> None:
    clock = FixedClock()
    pool = HashPool(clock, TEST_TARGET, workers=2)

    async def taking(seconds: float) -> None:
        def slow() -> bool:
            clock.advance(seconds)
            return True

        for _ in range(50):
            await pool.run(slow)

    def admitted() -> int:
        with ExitStack() as held:
            for number in range(1000):
                try:
                    held.enter_context(pool.place())
                except Busy:
                    return number
        raise AssertionError("no end")

    await taking(0.1)
    assert admitted() == 2 + 20
    await taking(0.5)
    assert admitted() == 2 + 4
    pool.close()
