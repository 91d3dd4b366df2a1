"""An attacker looks for a reader that looks at its bytes more than so often: every reader of what anybody may send is tried.

A byte costs the same in 64 KiB as in 1 KiB, whatever stands around the reader to keep long texts out.
"""

from collections.abc import Mapping

import pytest

from services.executor.rules.identifiers import looked_for_email
from tests.integration.edge.raw import send
from tests.security.cost import KIB, Case, Steps, per_byte, steps, unfinished
from tests.security.test_wrong_types import flow_of
from tests.security.whole import Whole, whole

HERE = "tests.security.readers"
EDGE = "services.executor"


def cases(reader: str, units: Mapping[str, tuple[str, ...]], *, text: bool = True) -> list[Case]:
    """Cases of one reader: `{name: (unit, start, end)}`, of which start and end may be left out."""
    whole = {name: (*parts, "", "")[:3] for name, parts in units.items()}
    return [Case(f"{reader.partition(':')[2]}: {name}", reader, unit, start, end, text) for name, (unit, start, end) in whole.items()]


FORMS = {
    "ampersands": ("&",), "equals": ("=",), "pairs": ("a=b&",), "one name": ("a", "uid_field="), "percent signs": ("%", "a="),
    "escapes": ("%41", "a="), "half escapes": ("%4", "a="), "bad UTF-8": ("%C3", "a="), "names of escapes": ("%3D",), "plus": ("+", "a="),
    "semicolons": (";",), "escaped ampersands": ("%26", "a="), "nested escapes": ("%25", "a="), "8 bits": ("\xff", "a="),
}  # fmt: skip
QUERIES = FORMS | {"one field": ("x", "next="), "surrogates": ("\udc80", "a="), "many next": ("next=/&",)}
DESTINATIONS = {
    "slashes": ("/", "next="), "dots": ("../", "next=/"), "escapes of escapes": ("%25", "next=/"), "five deep": ("%2525252525", "next=/"),
    "marks": ("%CC%81%CC%96", "next=/a"), "ligatures": ("%EF%B7%BA", "next=/"), "semicolons": (";", "next=/"), "colons": (":", "next="),
    "brackets": ("[", "next=//"), "at signs": ("@", "next=//"), "backslashes": ("\\", "next="), "hashes": ("#", "next=/"),
    "question marks": ("?", "next=/"), "many": ("next=/a&",), "blanks": ("%20", "next="), "line breaks": ("%0A", "next="),
}  # fmt: skip
COOKIES = {
    "semicolons": (";",), "pairs": ("a=b; ",), "ours": ("authentik_session=", ), "blanks": (" ",), "one large": ("x", "authentik_session="),
    "quotes": ('"', "sluice_step="), "equals": ("=",), "octal": ("\\073", 'a="'), "commas": (",",), "tabs": ("\t;",),
}  # fmt: skip
WORDS = {
    "letters": ("a",), "commas": (",",), "blanks": (" ",), "commas and blanks": (" , ",), "semicolons": (";",), "parameters": ("a;q=0.1,",),
    "stars": ("*/*;", ), "slashes": ("/",), "quotes": ('"',), "escaped quotes": ('\\"', '"'), "tabs": ("\t",), "8 bits": ("\xe9",),
    "equals": ("=",), "digits": ("9",), "dots": (".",), "colons": (":",), "brackets": ("[",), "percent": ("%",), "surrogates": ("\udc80",),
}  # fmt: skip
FORWARDED = WORDS | {
    "addresses": ("192.0.2.1, ",), "IPv6 addresses": ("2001:db8::1, ",), "with ports": ("[2001:db8::1]:443,",), "zones": ("fe80::1%eth0,",),
    "long zones": ("x", "fe80::1%"), "unknown": ("unknown,",), "elements": ("for=192.0.2.1;proto=https,",), "open quotes": ('for="',),
    "pairs without end": ("for=a;",), "long address": ("1.",), "long IPv6 address": ("1:",), "zeros": ("0", "192.0.2."), "https": ("https,",),
}  # fmt: skip
DURATIONS = {
    "pairs": ("seconds=1;",), "semicolons": (";",), "equals": ("=",), "digits": ("9", "seconds="), "fraction": ("9", "seconds=0."),
    "exponent": ("9", "seconds=1e"), "far exponent": ("9", "seconds=", "e-99999"), "underscores": ("1_", "seconds=", "1"), "key": ("s",),
    "blanks": (" ", "seconds=", "1"), "zeros": ("0", "seconds=", "1"), "other digits": ("\u0663", "seconds="), "capital": ("S",),
}  # fmt: skip
EXPRESSIONS = {
    "brackets": ("[",), "parentheses": ("(",), "not": ("not ",), "minus": ("-",), "sums": ("1+",), "strings": ('"',), "f-strings": ('f"{',),
    "triple quotes": ('"""',), "backslashes": ("\\\n",), "indents": ("\n ",), "comments": ("#",), "digits": ("9",), "names": ("a.",),
    "calls": ("a(",), "lines": ("a\n",), "long name": ("a",), "attributes": (".a", "a"), "lambdas": ("lambda:",), "ifs": ("if a:\n ",),
}  # fmt: skip
TITLES = {
    "percent signs": ("%",), "users": ("%(user)s",), "half": ("%(user)",), "parentheses": ("%(",), "widths": ("%(user)9s",), "braces": ("{",),
}  # fmt: skip
TEXTS = {
    "marks": ("\u0301\u0316", "a"), "ligatures": ("\ufdfa",), "sharp s": ("\u00df",), "ideographs": ("\u4e00",), "blanks": (" ",),
    "blanks around": (" ", "", "x"), "dots": (".",), "at signs": ("@",), "labels": ("a.", "a@"), "long label": ("\u00e4", "a@"),
    "dashes": ("-", "a@"), "digits": ("9",), "local part": ("a.", "", "@b.example"), "capital": ("\u0130",), "jamo": ("\u1100\u1161\u11a8",),
    "zero width": ("\u200b",), "hashes": ("$", "pbkdf2_sha256"), "iterations": ("9", "pbkdf2_sha256$"), "salt": ("a", "pbkdf2_sha256$1$"),
    "argon2": ("A", "$argon2id$v=19$m=1,t=1,p=1$"), "letters": ("a",), "uuid": ("0-",), "NUL": ("\0",), "half pairs": ("\ud800",),
    "true": ("true",), "stages of a hash": ("$2", "bcrypt"),
}  # fmt: skip
RECORDS = {
    "arrays of one": ("\x91",), "empty arrays": ("\x90", "\xdd\x00\x00\xff\xff"), "maps of one": ("\x81\xa1a",), "nil": ("\xc0",),
    "array that claims much": ("\xdd\xff\xff\xff\xff",), "map that claims much": ("\xdf\xff\xff\xff\xff",), "texts": ("\xa0",),
    "text that claims much": ("\xdb\xff\xff\xff\xff",), "extensions": ("\xc7\x00\x01",), "one text": ("a", "\xdb\x00\x00\xff\xf0"),
    "array of nil": ("\xc0", "\xdd\x00\x3f\xff\xfb"), "long integers": ("\xcf\x00\x00\x00\x00\x00\x00\x00\x00", "\xdc\x10\x00"),
    "one key, many times": ("\xa1a\xc0", "\xde\x10\x00"), "floats": ("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "\xdc\x10\x00"),
}  # fmt: skip
BLUEPRINTS = {
    "brackets": ("[",), "braces": ("{",), "dashes": ("- ",), "questions": ("? ",), "tags": ("!a ",), "anchors": ("&a ",), "aliases": ("*a ",),
    "quotes": ('"',), "escapes": ("\\x41", '"'), "blocks": ("|\n",), "indents": ("\n ",), "keys": ("a: ",), "comments": ("#\n",),
    "directives": ("%A\n",), "documents": ("---\n",), "digits": ("9",), "exponent": ("9", "a: 1e"), "zero width": ("\u200b".encode().decode("latin-1"),),
}  # fmt: skip

CASES = [
    *cases(f"{HERE}:form", FORMS, text=False), *cases(f"{HERE}:multipart", {"parts": ("--a\r\n",), "dashes": ("-",)}, text=False),
    *cases(f"{HERE}:query", QUERIES), *cases(f"{HERE}:token_in_query", QUERIES | {"bearer": ("Bearer%20",), "tokens": ("x", "token=")}),
    *cases(f"{HERE}:next_of_query", DESTINATIONS), *cases(f"{EDGE}.rules.destinations:destination", DESTINATIONS),
    *cases(f"{HERE}:outer_next", DESTINATIONS),
    *cases(f"{HERE}:cookie", COOKIES, text=False), *cases(f"{HERE}:our_cookies", {"letters": ("A",), "dashes": ("-_",), "equals": ("=",)}),
    *cases(f"{HERE}:authorization", WORDS | {"schemes": ("Bearer ",)}), *cases(f"{HERE}:accept", WORDS),
    *cases(f"{HERE}:fetch_metadata", WORDS), *cases(f"{HERE}:agent", WORDS | {"NUL": ("\0",)}), *cases(f"{HERE}:limits", WORDS),
    *cases(f"{HERE}:forwarded", FORWARDED), *cases(f"{HERE}:host", FORWARDED), *cases(f"{HERE}:title", TITLES),
    *cases("shared.flows.durations:microseconds", DURATIONS), *cases("shared.flows.expression:check", EXPRESSIONS),
    *cases(f"{HERE}:answer", TEXTS),
    *(case for name in ("looked_for", "looked_for_email", "counter_of", "new_email", "new_name")
      for case in cases(f"{EDGE}.rules.identifiers:{name}", TEXTS)),
    *cases(f"{EDGE}.rules.usernames:new_username", TEXTS), *cases(f"{EDGE}.rules.passwords:normalised", TEXTS), *cases(f"{EDGE}.rules.passwords:parse_hash", TEXTS),
    *cases(f"{EDGE}.rules.imported_hashes:hash_in", TEXTS),
    *cases(f"{HERE}:record", RECORDS, text=False), *cases(f"{HERE}:step_record", RECORDS, text=False),
    *cases(f"{HERE}:blueprint", BLUEPRINTS, text=False), *cases(f"{HERE}:listing_query", QUERIES | {"one name": ("a=1&",), "names": ("a&b&",)}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}")
def test_a_byte_costs_the_same_in_a_long_text(case: Case) -> None:
    small, large = per_byte(case, KIB), per_byte(case, 64 * KIB)
    assert large <= small * 1.5 + 0.05, f"{small} steps a byte at 1 KiB, {large} at 64 KiB"


def test_readers_come_to_the_end_of_a_megabyte() -> None:
    assert unfinished(CASES, KIB * KIB) == ""


@pytest.mark.parametrize(
    "domain",
    [
        "".join(map(chr, range(0x4E00, 0x4E00 + 500))), "\u3002".join("".join(map(chr, range(at, at + 100))) for at in range(0x4E00, 0x4FF0, 100)),
        "\ufdfa" * 500, "a" * 400 + "\u4e00" * 100, ".".join(["\u4e00" * 64] * 7),
    ],
    ids=["different characters", "in other dots", "ligatures that unfold", "ASCII and others", "labels one too long"],
)  # fmt: skip
def test_a_domain_that_is_none_is_not_spelled_in_ascii_first(domain: str) -> None:
    assert looked_for_email(f"a@{domain}") is None
    assert steps(lambda: looked_for_email(f"a@{domain}")) < 40 * KIB


JSON, FORM = "application/json", "application/x-www-form-urlencoded"
BODIES = {
    "one text": (JSON, '{"uid_field": "', "x", '"}'), "an unknown field": (JSON, '{"other": "', "x", '"}'), "escapes": (JSON, '{"uid_field": "', "\\u0041", '"}'),
    "escaped quotes without an end": (JSON, '{"uid_field": "', '\\"', ""), "a list": (JSON, '{"uid_field": [', "1,", "1]}"),
    "empty objects": (JSON, '{"webauthn": [', "{},", "{}]}"), "letters outside ASCII": (JSON, '{"uid_field": "', "\xc3\xa4", '"}'),
    "blanks": (JSON, "{", " ", "}"), "an object": (JSON, '{"selected_challenge": {"a": "', "x", '"}}'),
    "a form's text": (FORM, "uid_field=", "x", ""), "a form's escapes": (FORM, "uid_field=", "%41", ""), "ampersands": (FORM, "a=b", "&", ""),
    "a form's bad escapes": (FORM, "uid_field=", "%C3", ""), "neither": ("text/plain", "", "x", ""), "parts": ("multipart/form-data; boundary=a", "", "--a\r\n", ""),
}  # fmt: skip


async def taken(target: Whole, path: str, body: bytes, kind: str) -> int:
    """The steps of everything in this process, the sender included, from a request to its answer."""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nSec-Fetch-Site: same-origin\r\nContent-Length: {len(body)}\r\n\r\n"
    with Steps() as counted:
        answer = await send(target.address, head.encode(), body)
    assert answer.status in (200, 302, 303, 400, 403, 415), answer
    return counted.count


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["/api/v3/flows/executor/login/", "/api/v3/flows/executor/mfa/", "/if/flow/login/"])
async def test_a_whole_request_costs_no_more_than_its_bytes(path: str, name: str) -> None:
    kind, start, unit, end = BODIES[name]
    async with whole({"login": flow_of("identification"), "mfa": flow_of("authenticator_validate")}) as target:
        bodies = [(start + unit * ((size * KIB - 64) // len(unit)) + end).encode("latin-1") for size in (1, 64)]
        await taken(target, path, bodies[0], kind)
        small, large = [await taken(target, path, body, kind) for body in bodies]
    assert large - small <= 6 * 63 * KIB
