"""Inputs by chance, where Atheris cannot be had: bytes of known inputs changed, cut, doubled and spliced. The same seed, the same inputs."""

import hashlib
from collections.abc import Iterator, Sequence

LONGEST = 4096
_ODD = (b"\0", b"\xff", b'"', b"\\", b'\\"', b"{", b"[", b"%", b"%25", b"\r\n", b"\x80", b"\xdd\xff\xff\xff\xff", b"&", b";", b"9" * 40)


def inputs(seeds: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Inputs without end; each that is given goes on from one of the seeds."""
    number = 0
    while True:
        drawn = hashlib.shake_128(f"{seed}/{number}".encode()).digest(64)
        number += 1
        data = bytearray(seeds[drawn[0] % len(seeds)] if seeds else b"")
        for at in range(2, 2 + 4 * (1 + drawn[1] % 12), 4):
            _change(data, int.from_bytes(drawn[at : at + 2], "big"), drawn[at + 2], drawn[at + 3], seeds)
        yield bytes(data[:LONGEST])


def _change(data: bytearray, where: int, how: int, what: int, seeds: Sequence[bytes]) -> None:
    at = where % (len(data) + 1)
    match how % 6:
        case 0:
            data[at : at + 1] = bytes((what,))
        case 1:
            data[at:at] = _ODD[what % len(_ODD)]
        case 2:
            del data[at : at + 1 + what % 16]
        case 3:
            data[at:at] = data[at : at + what]
        case 4:
            data[at:at] = bytes((what,)) * (1 + what % 9)
        case _:
            other = seeds[what % len(seeds)] if seeds else b""
            data[at:] = other[where % (len(other) + 1) :]
