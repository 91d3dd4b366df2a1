"""Addresses as they are counted, and boxes that open in one place only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.common.sealing import MAX_BODY, new_private_key, open_sealed, private_key, public_half, seal
from shared.contracts.errors import BadSeal
from shared.contracts.steps import Sealed
from shared.kernel.networks import network_of

PRIVATE = new_private_key()
PUBLIC = public_half(PRIVATE)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff::1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("[2001:db8::1]", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("localhost", "unknown"),
        ("192.0.2.01", "unknown"),
        ("192.0.2.1, 198.51.100.1", "unknown"),
    ],
)
def test_addresses_are_counted_by_who_can_have_them(address: str, counted: str) -> None:
    assert network_of(address) == counted


@given(st.binary(max_size=2000))
def test_what_was_sealed_opens(body: bytes) -> None:
    sealed = seal(PUBLIC, "epoch", "session", "command", body)
    assert open_sealed(private_key(PRIVATE), sealed, "session", "command") == body
    assert body not in sealed.box or len(body) < 4


def test_lengths_are_hidden_in_steps_of_256_bytes() -> None:
    def size(length: int) -> int:
        return len(seal(PUBLIC, "epoch", "session", "command", b"x" * length).box)

    assert len({size(length) for length in range(253)}) == 1
    assert size(253) == size(252) + 256
    assert size(MAX_BODY) <= 72 * 1024
    with pytest.raises(ValueError, match="64 KiB"):
        size(MAX_BODY + 1)


@pytest.mark.parametrize(
    ("session", "command"), [("other", "command"), ("session", "other"), ("sessionc", "ommand"), ("", "sessioncommand")]
)
def test_a_box_opens_for_its_session_and_command_only(session: str, command: str) -> None:
    sealed = seal(PUBLIC, "epoch", "session", "command", b"secret")
    with pytest.raises(BadSeal):
        open_sealed(private_key(PRIVATE), sealed, session, command)


def test_a_box_opens_with_its_key_and_epoch_only() -> None:
    sealed = seal(PUBLIC, "epoch", "session", "command", b"secret")
    with pytest.raises(BadSeal):
        open_sealed(private_key(new_private_key()), sealed, "session", "command")
    with pytest.raises(BadSeal):
        open_sealed(private_key(PRIVATE), Sealed(epoch="other", box=sealed.box), "session", "command")


@given(st.data())
def test_a_damaged_box_is_a_bad_seal_and_nothing_else(data: st.DataObject) -> None:
    box = bytearray(seal(PUBLIC, "epoch", "session", "command", b"secret").box)
    place = data.draw(st.integers(0, len(box) - 1))
    box[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadSeal):
        open_sealed(private_key(PRIVATE), Sealed(epoch="epoch", box=bytes(box)), "session", "command")


@given(st.binary(max_size=400))
def test_noise_is_a_bad_seal_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(BadSeal):
        open_sealed(private_key(PRIVATE), Sealed(epoch="epoch", box=noise), "session", "command")
