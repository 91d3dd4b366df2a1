"""Every JSON type, with the values of each that have broken something somewhere."""

from typing import Any

VALUES: dict[str, Any] = {
    "null": None, "true": True, "false": False, "zero": 0, "one": 1, "an integer": 12345, "a huge integer": 2**63 - 1,
    "a negative one": -(2**63), "a float": 1.5, "a huge float": 1e308, "a tiny float": 5e-324, "empty text": "", "blanks": "  \t ",
    "text": "x", "NUL": "a\0b", "only NUL": "\0", "escape": "\x1b[2J", "line breaks": "a\r\nSet-Cookie: a=b", "bidi": "\u202eabc",
    "a non-character": "\uffff", "emoji": "\U0001f600", "long text": "x" * 20_000, "long in bytes": "\u00e4" * 4096, "NaN's name": "NaN",
    "empty list": [], "list": ["secret"], "list of lists": [[[[]]]], "mixed list": [1, None, "x", {}], "empty object": {},
    "object": {"$ne": ""}, "operator": {"password": {"$gt": ""}}, "nested object": {"a": {"b": {"c": [{"d": None}]}}},
    "NUL inside": {"a": "\0"}, "NUL in a key": {"\0": 1}, "NUL deep inside": {"a": [{"b": ["\0"]}]}, "prototype": {"__proto__": {"x": 1}},
    "large object": {str(n): "x" * 200 for n in range(100)}, "deep object": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}},
    "floats inside": {"a": [0.1, 1e308, -1.5]}, "huge integers inside": {"a": [2**63 - 1, -(2**63)]},
}  # fmt: skip
