"""What a new user may be: every field checked and brought into form, all that is wrong told at once, by field."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from services.executor.rules.identifiers import BadIdentifier, looked_for, new_email, new_name
from services.executor.rules.imported_hashes import HashRefused, hash_in, is_unusable
from services.executor.rules.lookalikes import looks_of
from services.executor.rules.passwords import BadPassword, normalised
from services.executor.rules.usernames import new_username
from shared.kernel.errors import SluiceError

T = TypeVar("T")

TYPES: Final = ("internal", "external", "service_account", "internal_service_account")
ATTRIBUTES_MAX: Final = 8 * 1024  # bytes of JSON; they travel in every transition that knows the user
ATTRIBUTES_DEPTH: Final = 8
PATH_MAX: Final = 255


class UserRefused(SluiceError):
    """A user that cannot be made or changed like this; texts by field, as authentik's API tells them."""

    code = "E_USER_REFUSED"

    def __init__(self, errors: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in errors.items()))
        self.errors = dict(errors)


@dataclass(frozen=True, slots=True)
class NewUser:
    """What is wanted. `password`: as typed, or a complete hash where `hash_allowed`; None: cannot log in by password."""

    username: str
    name: str = ""
    email: str = ""
    password: str | None = None
    hash_allowed: bool = False
    is_active: bool = True
    type: str = "internal"
    path: str = "users"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    superuser: bool = False


@dataclass(frozen=True, slots=True)
class CheckedUser:
    """The same, in the forms that are stored. `password` is still what was given, unless it is a `hash` of what was typed."""

    username: str
    username_canonical: str
    looks: tuple[str, ...]
    name: str
    email: str
    email_canonical: str | None
    upn_canonical: str | None
    attributes: str
    password: str | None
    hash: str | None


def checked(new: NewUser) -> CheckedUser:
    """The user in stored form; `UserRefused` with everything that is wrong."""
    errors: dict[str, tuple[str, ...]] = {}
    username = _tried(errors, "username", lambda: new_username(new.username), ("", ""))
    email = _tried(errors, "email", lambda: new_email(new.email), ("", ""))
    name = _tried(errors, "name", lambda: new_name(new.name), "")
    attributes = _tried(errors, "attributes", lambda: _attributes(new.attributes), "{}")
    if new.type not in TYPES:
        errors["type"] = (f'"{new.type[:50]}" is not a valid choice.',)
    _tried(errors, "path", lambda: _path(new.path), "")
    nothing: tuple[str | None, str | None] = (None, None)
    password, hashed = _tried(errors, "password", lambda: _secret(new), nothing)
    if errors:
        raise UserRefused(errors)
    upn = new.attributes.get("upn")
    return CheckedUser(
        username=username[0],
        username_canonical=username[1],
        looks=looks_of(username[0]),
        name=name,
        email=email[0],
        email_canonical=email[1] or None,
        upn_canonical=looked_for(upn) if isinstance(upn, str) else None,
        attributes=attributes,
        password=password,
        hash=hashed,
    )


def checked_password(password: str) -> str:
    """The password, if it can be one; else `BadIdentifier` with the text for its field."""
    try:
        normalised(password)
    except BadPassword as failure:
        texts = {"empty": "This field may not be blank.", "NUL": "Null characters are not allowed."}
        raise BadIdentifier(texts.get(failure.detail, "Ensure this field has no more than 1024 bytes.")) from None
    return password


def _secret(new: NewUser) -> tuple[str | None, str | None]:
    """The password or the hash that was given, the other is None; both if there is none."""
    if new.password is None or (new.hash_allowed and is_unusable(new.password)):
        return None, None
    try:
        found = hash_in(new.password) if new.hash_allowed else None
    except HashRefused as refused:
        raise BadIdentifier(refused.detail) from None
    return (None, found.text) if found else (checked_password(new.password), None)


def _tried(errors: dict[str, tuple[str, ...]], name: str, check: Callable[[], T], otherwise: T) -> T:
    try:
        return check()
    except BadIdentifier as failure:
        errors[name] = (failure.message,)
        return otherwise


def _path(path: str) -> str:
    if not path or len(path) > PATH_MAX or any(not part or part in (".", "..") for part in path.split("/")):
        raise BadIdentifier("No empty segments in user path allowed.")
    return new_name(path)


def _attributes(value: Mapping[str, Any]) -> str:
    """The object as JSON; numbers are such that every reader gets the same, texts such that PostgreSQL takes them."""
    if not _carried(value, ATTRIBUTES_DEPTH):
        raise BadIdentifier("Value must be an object of plain values.")
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > ATTRIBUTES_MAX:
        raise BadIdentifier(f"Ensure this field has no more than {ATTRIBUTES_MAX} bytes.")
    return text


def _carried(value: Any, depth: int) -> bool:
    match value:
        case None | bool():
            return True
        case int():
            return -(2**53) <= value <= 2**53
        case float():
            return math.isfinite(value) and not (value == 0 and math.copysign(1, value) < 0)
        case str():
            return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
        case Mapping():
            return depth > 0 and all(isinstance(key, str) and _carried(key, 1) and _carried(item, depth - 1) for key, item in value.items())
        case list() | tuple():
            return depth > 0 and all(_carried(item, depth - 1) for item in value)
        case _:
            return False
