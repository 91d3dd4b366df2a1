"""The cookie that keeps a browser's slots: sealed, of the last few users, worth nothing when it is made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.edge.devices import DeviceCookies
from services.executor.edge.text import raw_of, text_of
from shared.contracts.people import LoginClaims
from shared.contracts.steps import MAX_DEVICES

KEY, OTHER = b"k" * 32, b"o" * 32


def named(name: str) -> str:
    """An id is that long."""
    return name.ljust(22, "-")


def login(user: int, name: str) -> LoginClaims:
    return LoginClaims(
        login=named(name),
        user=user,
        uid="uid",
        username=f"canary-{user}",
        methods=("password",),
        at_us=1,
        expires_us=None,
        persistent=False,
        epoch=0,
    )


@pytest.fixture
def devices() -> DeviceCookies:
    return DeviceCookies((KEY,))


def test_a_browser_names_the_newest_log_in_of_each_user(devices: DeviceCookies) -> None:
    value = devices.value((), login(7, "first"))
    value = devices.value(devices.read((value,)), login(8, "bobs"))
    value = devices.value(devices.read((value,)), login(7, "second"))
    assert devices.read((value,)) == ((7, named("second")), (8, named("bobs")))


def test_it_names_few_users_and_the_longest_ago_goes(devices: DeviceCookies) -> None:
    value = ""
    for user in range(10):
        value = devices.value(devices.read((value,)), login(user, f"login-{user}"))
    assert devices.read((value,)) == tuple((user, named(f"login-{user}")) for user in (9, 8, 7, 6))
    assert len(devices.read((value,))) == MAX_DEVICES
    assert len(value) < 300


def test_of_two_values_each_names_who_it_names(devices: DeviceCookies) -> None:
    """A sibling site can plant one; it takes nobody's place before those that stand first are full."""
    mine, planted = devices.value((), login(7, "mine")), devices.value((), login(9, "planted"))
    assert devices.read((mine, planted)) == ((7, named("mine")), (9, named("planted")))


def test_nobody_reads_from_it_who_logged_in(devices: DeviceCookies) -> None:
    value = devices.value((), login(7, "the-login-of-somebody-x"))
    raw = raw_of(value) or b""
    for canary in (b"canary", b"the-login", b"uid"):
        assert canary not in raw
        assert canary not in value.encode()


def test_a_value_of_another_installation_names_nobody(devices: DeviceCookies) -> None:
    assert devices.read((DeviceCookies((OTHER,)).value((), login(7, "x")),)) == ()


def test_a_key_that_was_changed_still_opens(devices: DeviceCookies) -> None:
    value = devices.value((), login(7, "x"))
    assert DeviceCookies((OTHER, KEY)).read((value,)) == ((7, named("x")),)


@given(st.one_of(st.text(max_size=400), st.binary(max_size=200).map(text_of)))
def test_what_is_made_up_names_nobody(value: str) -> None:
    assert DeviceCookies((KEY,)).read((value,)) == ()


@given(st.data())
def test_a_damaged_value_names_nobody(data: st.DataObject) -> None:
    devices = DeviceCookies((KEY,))
    raw = bytearray(raw_of(devices.value((), login(7, "x" * 22))) or b"")
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert devices.read((text_of(bytes(raw)),)) == ()
