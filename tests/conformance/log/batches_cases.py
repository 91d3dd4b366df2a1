"""What any producer may put into a topic, and what a reader is to be told of it."""

from collections.abc import Callable, Mapping
from typing import Final

from shared.contracts.envelope import UNREADABLE
from shared.contracts.topics import TOPICS
from shared.messaging.log import Record
from tests.conformance.log.batches import GZIP, LZ4, SNAPPY, ZSTD, Batch, Made, misplaced, one

Told = Callable[[list[Record]], bool]
MANY: Final = 3_000_000
LARGEST: Final = max(topic.max_bytes for topic in TOPICS.values())
CODECS: Final = {"gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}


def values(*wanted: bytes | None) -> Told:
    """These values, as they were sent."""
    return lambda records: tuple(record.value for record in records) == wanted


def unread(why: str, at_most: int = 16 * 1024) -> Told:
    """One record that says why it could not be read, with the beginning of what was sent."""
    return lambda records: (
        [record.headers for record in records] == [((UNREADABLE, why.encode()),)] and 0 < len(records[0].value or b"") <= at_most
    )


def headers(count: int) -> Told:
    """One record of so many headers."""
    return lambda records: [len(record.headers) for record in records] == [count]


NESTED: Final = b"\x91" * 100_000
CLAIMS: Final = b"\xdd\xff\xff\xff\xff" * 10_000
HOSTILE: Final[Mapping[str, tuple[Batch, Told]]] = {
    "bytes that are nothing": (one(b"\xc1\xff\x00garbage"), values(b"\xc1\xff\x00garbage")),
    "nothing at all": (one(b"", key=b""), values(b"")),
    "no key and no value": (one(None, key=None), values(None)),
    "a key of 200 kB": (one(b"v", key=b"k" * 200_000), values(b"v")),
    "a header of 200 kB": (one(b"v", headers=((b"h", b"x" * 200_000),)), headers(1)),
    "a header's name of 200 kB": (one(b"v", headers=((b"h" * 200_000, b""),)), headers(1)),
    "a header's name that is no text": (one(b"v", headers=((b"\xff\xfe", None),)), headers(1)),
    "30,000 headers": (one(b"v", headers=((b"h", b"x"),) * 30_000), headers(30_000)),
    "the headers of an envelope, twice": (one(b"v", headers=((b"ce_type", b"x"), (b"ce_type", b"x"))), headers(2)),
    "our word for what cannot be read": (one(b"v", headers=((UNREADABLE.encode(), b"\xff" * 5000),)), headers(1)),
    "arrays in arrays": (one(NESTED), values(NESTED)),
    "arrays that claim to be long": (one(CLAIMS), values(CLAIMS)),
    "a time far away": (Batch((Made(b"v"),), time_ms=253_402_300_799_000), values(b"v")),
    "a time before time": (Batch((Made(b"v"),), time_ms=-1), values(b"v")),
    "places far outside": (misplaced(Batch((Made(b"a"), Made(b"b"))), 0, 2**31 - 1), unread("Unsound")),
    "places before": (misplaced(Batch((Made(b"a"), Made(b"b"))), -7, 1), unread("Unsound")),
    "the same place twice": (misplaced(Batch((Made(b"a"), Made(b"b"))), 1, 1), unread("Unsound")),
    "10,000 empty records": (Batch((Made(b"", key=None),) * 10_000), lambda records: len(records) == 10_000),
    **{
        f"10,000 empty records in {name}": (Batch((Made(b"", key=None),) * 10_000, codec), unread("Crowded"))
        for name, codec in CODECS.items()
    },
    "32 empty records in zstd": (Batch((Made(b"", key=None),) * 32, ZSTD), lambda records: len(records) == 32),
    "33 empty records in zstd": (Batch((Made(b"", key=None),) * 33, ZSTD), unread("Crowded")),
    **{f"few bytes in {name}": (one(b"few", codec=codec), values(b"few")) for name, codec in CODECS.items()},
    **{f"many zeros in {name}": (one(bytes(MANY), codec=codec), unread("TooLarge")) for name, codec in CODECS.items()},
    "very many zeros in zstd": (one(bytes(100 * MANY), codec=ZSTD), unread("TooLarge")),
    "a million headers in gzip": (one(b"v", headers=((b"", None),) * 1_000_000, codec=GZIP), unread("TooLarge")),
    "as many zeros as one may": (one(bytes(LARGEST), codec=GZIP), values(bytes(LARGEST))),
}
