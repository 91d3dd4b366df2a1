"""The file of the services' public keys: what is refused, and that a change is noticed without a restart."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from shared.kernel.clock import FixedClock
from shared.messaging.trusted import BadKeys, TrustedKey, TrustedKeys, as_jwk, key_id, read_keys, thumbprint
from tests.signing import KEYS

EXECUTOR, POLICY = (TrustedKey(name, KEYS[name].private.public_key()) for name in ("executor", "policy"))
JWK = as_jwk(EXECUTOR)


def written(path: Path, *keys: Any, **more: Any) -> Path:
    path.write_text(json.dumps({"keys": list(keys)} | more))
    return path


def test_the_thumbprint_is_that_of_the_standard() -> None:
    # RFC 8037 appendix A.2 and A.3
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert thumbprint(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert len(key_id(public)) == 8


def test_keys_come_back_as_they_were_written(tmp_path: Path) -> None:
    dated = TrustedKey("policy", POLICY.public, 10, 20)
    found = read_keys(written(tmp_path / "keys.json", JWK, as_jwk(dated), comment="members that nobody knows are passed by"))
    assert [(key.service, key.id, key.not_before_s, key.expires_s) for key in found] == [
        ("executor", EXECUTOR.id, None, None),
        ("policy", POLICY.id, 10, 20),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kty": "EC"}, "kty"),
        ({"crv": "X25519"}, "crv"),
        ({"d": "AAAA"}, "private"),
        ({"service": "root"}, "service"),
        ({"service": None}, "service"),
        ({"service": ["executor"]}, "service"),
        ({"x": None}, '"x"'),
        ({"x": 7}, '"x"'),
        ({"x": ""}, '"x"'),
        ({"x": JWK["x"] + "AA"}, '"x"'),
        ({"x": JWK["x"] + "="}, '"x"'),
        ({"x": JWK["x"][:-1] + "\N{LATIN SMALL LETTER E WITH ACUTE}"}, '"x"'),
        ({"x": "A" * 43}, '"x"'),
        ({"nbf": "1"}, "nbf"),
        ({"exp": True}, "exp"),
        ({"exp": -1}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"exp": None}, "exp"),
        ({"nbf": 5, "exp": 5}, "not after"),
    ],
)
def test_a_key_that_is_none_is_refused_with_its_number(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(BadKeys, match="key 2") as refused:
        read_keys(written(tmp_path / "keys.json", as_jwk(POLICY), JWK | change))
    assert told in str(refused.value)


@pytest.mark.parametrize("x", ["AQ" + "A" * 41, "7P" + "_" * 40 + "38", "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU"])
def test_a_point_under_which_anybody_signs_is_no_key(tmp_path: Path, x: str) -> None:
    with pytest.raises(BadKeys, match='"x"'):
        read_keys(written(tmp_path / "keys.json", JWK | {"x": x}))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"keys": {}}', '{"keys": []}', '{"keys": [1]}', '{"keys": [], "keys": []}', "[" * 100_000, "\udcff"],
)
def test_a_file_that_is_no_set_of_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadKeys):
        read_keys(path)


def test_too_many_or_twice_the_same_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadKeys, match="256"):
        read_keys(written(tmp_path / "keys.json", *[JWK] * 257))
    with pytest.raises(BadKeys, match="twice"):
        read_keys(written(tmp_path / "keys.json", JWK, JWK | {"service": "policy"}))
    (tmp_path / "large.json").write_bytes(b" " * 300_000)
    with pytest.raises(BadKeys, match="larger"):
        read_keys(tmp_path / "large.json")


def test_a_changed_file_is_read_again_and_a_broken_one_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, clock = written(tmp_path / "keys.json", JWK), FixedClock()
    keys = TrustedKeys.of_file(path, clock)
    assert keys.find(EXECUTOR.id) is not None
    assert keys.find(POLICY.id) is None
    replaced(path, JWK, as_jwk(POLICY))
    assert keys.find(POLICY.id) is None  # it was looked at this second
    clock.advance(1)
    assert keys.find(POLICY.id) is not None
    replaced(path, as_jwk(POLICY))
    clock.advance(1)
    assert keys.find(EXECUTOR.id) is None
    replaced(path, {"kty": "oct"})
    clock.advance(1)
    assert keys.find(POLICY.id) is not None
    assert "the keys of before stay" in caplog.text
    path.unlink()
    clock.advance(1)
    assert keys.find(POLICY.id) is not None


def replaced(path: Path, *keys: Any) -> None:
    os.replace(written(path.with_suffix(".new"), *keys), path)
