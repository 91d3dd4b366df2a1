"""What a browser sends of a page: our own hidden fields, and the answer as the JSON document that an API's client would send."""

import json
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from shared.web.errors import Refusal

MAX_FIELDS: Final = 64
MEDIA_TYPE: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Form:
    """A sent form."""

    csrf: str
    steps: tuple[str, ...]
    answer: bytes


def parsed(raw: bytes, media_type: str) -> Form:
    """The form in these bytes; `Refusal` for another media type, what is no form in UTF-8, and a field that comes twice."""
    if media_type != MEDIA_TYPE:
        raise Refusal(415, "content_type", size=len(raw))
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Refusal(400, "form_malformed", size=len(raw)) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Refusal(400, "form_doubled", size=len(raw))
    csrf, step = fields.pop("sluice_csrf", ""), fields.pop("sluice_step", None)
    return Form(csrf, () if step is None else (step,), json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode())
