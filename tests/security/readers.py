"""Readers of strangers' bytes that stand within something larger, each as a function of one text, for `cost.Case`."""

from shared.web import strict_json


def explained(raw: bytes) -> str:
    """What the administrators' API says of a bad document: it reads it a second time."""
    try:
        strict_json.parse(raw)
    except strict_json.BadJson as bad:
        return strict_json.explained(bad, raw)
    return ""
