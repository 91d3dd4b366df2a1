"""How a secret may be written down: the text itself, and ten ways in which programs encode what they store, log or send."""

import base64
from collections.abc import Iterable
from urllib.parse import quote


def _aligned(encode: bytes, altchars: bytes) -> list[bytes]:
    """Base64 of the text at each of the three places at which it can begin within other bytes; the ends, which depend on these, cut off."""
    found = []
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + encode, altchars)
        sure_end = (before + len(encode)) // 3 * 4
        found.append(whole[-(-before * 8 // 6) : sure_end])
    return found


def spellings(secret: str) -> dict[str, list[bytes]]:
    """By the name of the encoding, the byte strings that betray it."""
    raw = secret.encode()
    return {
        "as it is": [raw],
        "UTF-16 little endian": [secret.encode("utf-16-le")],
        "UTF-16 big endian": [secret.encode("utf-16-be")],
        "base64": _aligned(raw, b"+/"),
        "base64url": _aligned(raw, b"-_"),
        "hexadecimal": [raw.hex().encode()],
        "hexadecimal, large": [raw.hex().upper().encode()],
        "percent": [
            "".join(f"%{byte:02X}" for byte in raw).encode(),
            "".join(f"%{byte:02x}" for byte in raw).encode(),
            quote(secret, safe="").encode(),
        ],
        "JSON escapes": ["".join(f"\\u{ord(letter):04x}" for letter in secret).encode()],
        "character references": [
            "".join(f"&#{ord(letter)};" for letter in secret).encode(),
            "".join(f"&#x{ord(letter):x};" for letter in secret).encode(),
        ],
        "numbers": [
            ", ".join(map(str, raw)).encode(),
            ",".join(map(str, raw)).encode(),
            "".join(f"\\x{byte:02x}" for byte in raw).encode(),
        ],
    }


def betrayed(haystack: bytes, secrets: Iterable[tuple[str, str]]) -> list[str]:
    """Which of these secrets (by name), and how, occur in the bytes."""
    return [
        f"{name}, {encoding}"
        for name, secret in secrets
        for encoding, needles in spellings(secret).items()
        if any(needle in haystack for needle in needles)
    ]
