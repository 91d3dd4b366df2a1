"""What the user API takes: bodies read strictly, fields with the texts of Django REST framework that authentik answers."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from services.executor.directory.naming import NewUser, UserRefused
from shared.flows.fields import BooleanField, Invalid
from shared.web.rest import json_object

REQUIRED: Final = "This field is required."
_MISSING: Final = object()
GROUPS_MAX: Final = 100


async def object_of(request: web.Request) -> Mapping[str, Any]:
    """The JSON object in a request's body, an absent body is an empty one; `Detailed` or `UserRefused` for anything else."""
    return await json_object(request, lambda text: UserRefused({"non_field_errors": (text,)}))


def new_user(body: Mapping[str, Any]) -> NewUser:
    """The user that a body describes; `UserRefused` with everything that has not the right type. Unknown names are ignored."""
    fields = _Fields(body)
    new = NewUser(
        username=fields.text("username", blank=False),
        name=fields.text("name"),
        email=fields.text("email", default=""),
        is_active=fields.flag("is_active", default=True),
        type=fields.text("type", default="internal"),
        path=fields.text("path", default="users", blank=False),
        attributes=fields.mapping("attributes"),
        groups=fields.uuids("groups"),
    )
    fields.finish()
    return new


def password_of(body: Mapping[str, Any]) -> str:
    """The password in a body; not trimmed, or it would be another one."""
    fields = _Fields(body)
    password = fields.text("password", blank=False, trim=False)
    fields.finish()
    return password


class _Fields:
    """Reads fields and collects what is wrong with them."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._errors: dict[str, tuple[str, ...]] = {}

    def finish(self) -> None:
        """Raise what was found."""
        if self._errors:
            raise UserRefused(self._errors)

    def text(self, name: str, *, default: str | None = None, blank: bool = True, trim: bool = True) -> str:
        value = self._body.get(name, _MISSING if default is None else default)
        if value is _MISSING:
            return self._wrong(name, REQUIRED)
        if value is None:
            return self._wrong(name, "This field may not be null.")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return self._wrong(name, "Not a valid string.")
        text = str(value).strip(" \t\r\n") if trim else str(value)
        return text if text or blank else self._wrong(name, "This field may not be blank.")

    def flag(self, name: str, *, default: bool) -> bool:
        try:
            return bool(BooleanField().clean(self._body.get(name, default)))
        except Invalid as refused:
            self._wrong(name, refused.problem.string)
            return default

    def mapping(self, name: str) -> Mapping[str, Any]:
        value = self._body.get(name, {})
        if isinstance(value, dict):
            return value
        self._wrong(name, "Value must be a dictionary, and not have any duplicate keys.")
        return {}

    def uuids(self, name: str) -> tuple[str, ...]:
        value = self._body.get(name, [])
        if not isinstance(value, list) or len(value) > GROUPS_MAX:
            self._wrong(name, f'Expected a list of items but got type "{type(value).__name__}".')
            return ()
        for item in value:
            try:
                UUID(item if isinstance(item, str) else "")
            except ValueError:
                self._wrong(name, f"\u201c{str(item)[:50]}\u201d is not a valid UUID.")
                return ()
        return tuple(str(UUID(item)) for item in value)

    def _wrong(self, name: str, text: str) -> str:
        self._errors.setdefault(name, (text,))
        return ""
