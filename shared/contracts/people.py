"""What services tell each other about visitors and users: facts at a moment, never a password, never a hash."""

from typing import Annotated

from pydantic import Field

from shared.contracts.model import Count, Micros, Plain, ShortText, Value, open_enum


class GroupFacts(Value):
    """A group that a user is in, directly or through an ancestor."""

    pk: ShortText
    name: ShortText
    is_superuser: bool = False


class UserFacts(Value):
    """A user as a decision sees it.

    `pk` None is a pretended user: somebody typed a name that nobody has. `backend` is set once
    this user has proved to be who they are in this run; the default flow's policy asks for it. `epoch` rises when the
    user is disabled, deleted or gets a new password; logins of an older epoch are over.
    """

    pk: Annotated[int, Field(ge=0, le=2**53)] | None
    uuid: ShortText
    uid: ShortText
    username: ShortText
    name: ShortText
    email: ShortText
    is_active: bool
    is_superuser: bool
    type: Annotated[ShortText, open_enum("internal", "external", "service_account", "internal_service_account")] = "internal"
    path: ShortText = "users"
    attributes: Plain = {}
    groups: tuple[GroupFacts, ...] = ()
    epoch: Count = 0
    backend: ShortText | None = None


class Visitor(Value):
    """Who sits at the browser: the logged-in user, if any, and where the request came from."""

    user: UserFacts | None = None
    address: ShortText = ""
    user_agent: ShortText = ""
    host: ShortText = ""
    secure: bool = False


class LoginClaims(Value):
    """What a login cookie says: this browser is this user, since when, by which methods (architecture §4.13)."""

    login: ShortText
    user: Count
    uid: ShortText
    username: ShortText
    methods: tuple[ShortText, ...]
    at_us: Micros
    expires_us: Micros | None
    persistent: bool
    epoch: Count
