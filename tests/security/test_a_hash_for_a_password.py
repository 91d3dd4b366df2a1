"""Who has read the old system's table types what stood there: no import may have made it a password."""

import base64
import hashlib
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.rules.imported_hashes import HashRefused, hash_in

DIGESTS = {name: hashlib.new(name, b"pw").digest() for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")}
HEX = DIGESTS["sha256"].hex()
B64 = base64.b64encode(DIGESTS["sha256"]).decode()
DJANGO = f"pbkdf2_sha256$600000$cvXpAOKfz72x${B64}"
ARGON2 = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$dHMvB6QW1VS0fX8fUOBcN0Jc9B7DVSFWxYvbqyFNLuQ"
BCRYPT = "$2b$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"

FOREIGN = [
    f"pbkdf2:sha256:600000$salt${HEX}", f"scrypt:32768:8:1$salt${DIGESTS['sha512'].hex()}", "*" + DIGESTS["sha1"].hex().upper(), f"md5{DIGESTS['md5'].hex()}",
    f"SCRAM-SHA-256$4096:{B64[:24]}$StoredKey:{B64}", "{CRAM-MD5}" + HEX, "{SSHA512}x", "{x-issha, 1024}" + B64, "{noop}secret", "{bcrypt}" + BCRYPT,
    f"$NT${DIGESTS['md5'].hex()}", f"NTLM:{DIGESTS['md5'].hex()}", f"ntlm:{DIGESTS['md5'].hex()[:10]}", f"{DIGESTS['md5'].hex()}:salt", f"salt${B64}",
    f"bob:500:aad3b435b51404eeaad3b435b51404ee:{DIGESTS['md5'].hex()}:::", "0x0100" + HEX, "6f8c114b58f2ce9e", ":".join(re.findall("..", HEX)),
    "abJnggxhB/yWI", "_J9..rasmBYk8r9AiWNc", "$1$28772684$iEwNOgGugqO9.bIz5sk8k/", "$P$B12345678AbCdEfGhIjKlMnOpQrStU.", "$S$Dabcdefgh12", "$y$j9T$abc",
    "$5$rounds=5000$toolong", "$apr1$x$y", "$8$dsYGNam3K1SIJO$7nv", "grub.pbkdf2.sha512.10000.AB.CD", "crypt$$abJnggxhB/yWI", "sha1$salt$beef", "$6$", "$1$2$3",
    '{"credentialData":"{}"}', '{ "value" : 1}', "[{'hash': 1}]", "eyJhbGciOiJIUzI1NiJ9.e30.x", f"b'{BCRYPT}'", f"!{BCRYPT}", f"!!$6$abc${B64}",
    "AQAAAAEAACcQAAAAEJ" + "aB3x" * 16 + "gg==", "!!", "*", "*LK*", BCRYPT[:20], BCRYPT[4:], BCRYPT[7:], "2b$12$" + BCRYPT[7:],
]  # fmt: skip
DAMAGED = [
    changed
    for text in (DJANGO, ARGON2, "argon2" + ARGON2)
    for changed in (
        text.upper(), " " + text, text + "\t", "\u00a0" + text, "\u200b" + text, text[: len(text) // 2], text[:24], text[1:], text[5:], f'"{text}"', f"'{text}'",
        text + "=", "".join(chr(ord(letter) + 0xFEE0) if letter != " " else letter for letter in text), text.rsplit("$", 1)[0], text.split("$", 2)[-1],
    )
] + [
    DJANGO.replace("600000", iterations) for iterations in ("-600000", "+600000", "600_000", "\u0666\u0660", " 600000", "6e5", "", "0")
] + ["pbkdf2_sha256$1000$salt", DJANGO.replace("cvXpAOKfz72x", ""), DJANGO.replace("$", ":"), DJANGO.replace("$", "|")]  # fmt: skip
BARE = [
    written
    for digest in DIGESTS.values()
    for written in (
        digest.hex(), digest.hex().upper(), digest.hex() + " ", base64.b64encode(digest).decode(), base64.b64encode(digest).decode().rstrip("="),
        base64.urlsafe_b64encode(digest).decode(),
    )
]  # fmt: skip


@pytest.mark.parametrize("text", [*FOREIGN, *DAMAGED, *BARE])
def test_what_looks_like_a_hash_never_becomes_a_password(text: str) -> None:
    with pytest.raises(HashRefused, match=r"looks like a hash|asks for") as refused:
        hash_in(text)
    assert "set-password" in refused.value.detail


@pytest.mark.parametrize("text", [DJANGO, ARGON2, "argon2" + ARGON2])
def test_wherever_a_hash_was_cut_off_there_is_no_password_left(text: str) -> None:
    """argon2id digests have any length, so some of these are hashes still: of nothing that anybody types."""
    for end in range(10, len(text)):
        try:
            assert hash_in(text[:end]) is not None
        except HashRefused:
            continue


@given(st.binary(min_size=20, max_size=20))
def test_no_digest_of_any_content_becomes_one(digest: bytes) -> None:
    for text in (hashlib.sha256(digest).hexdigest(), base64.b64encode(digest).decode()):
        with pytest.raises(HashRefused):
            hash_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "pa$$word", "$ecret1", "$ecret$", "U$D100", "a$b$c$d", "$money$", "Pa$$w0rd!", "100%$ure", "cash$money$cash", "$$$", "me:you", "{x}y", "<3{}", "!secret",
        "correct horse battery staple", "Correct-Horse-Battery-Staple", "letmeinplease", "letmein123456", "MySecretPass1", "Tr0ub4dor&3", "x", "deadbeef", "12345678",
        "1234567890123456", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "hunter2", "Stra\u00dfe 12", "\u5bc6\u7801\u5bc6\u7801", "sha1rocks", "md5", "descartes: I think",
        "hashtag #1", "kQ7!vX2#mB9$zL4@wR6&", "aB3$kd9fjDk3!x", "plaintext", "shadow", "desperado!", "not a hash", "a=b", "==", "dragon}", "{", "[", "ntlmv2",
    ],
)  # fmt: skip
def test_honest_passwords_stay_passwords(text: str) -> None:
    assert hash_in(text) is None


@given(st.text(string.ascii_lowercase + " $!-", max_size=12))
def test_short_words_with_signs_stay_passwords_unless_they_name_a_kind(text: str) -> None:
    no_password = re.fullmatch(r"[!* -]*!!+[!* -]*|.*!(locked|unset)!?.*", text)  # as shadow(5) has it
    if not no_password and not re.search(r"\$[a-z]+\$|crypt|sha|md|nt|lm|des|hash|hex|plain|noop|gost|apr", text):
        assert hash_in(text) is None
