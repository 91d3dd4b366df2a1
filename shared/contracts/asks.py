"""What a stage may ask before a transition, and what comes back: recorded as such in the transition, fed back in a replay.

An ask may change something (an attempt is counted), so whoever answers it remembers its key (session, version, command,
n, kind) and gives the same answer to the same key (architecture §4.4). Secrets travel beside an ask, never in it.

A new ask is a model here, its result, and the pair of both (`Asked`); a changed one is a new version of
`SessionAdvanced`, with an upcaster for the old ones.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar

from pydantic import Field

from shared.contracts.model import Contract, Count, Micros, Plain, ShortText, Text, Value, open_enum
from shared.contracts.people import UserFacts

INBUILT: Final = "authentik.core.auth.InbuiltBackend"
"""The one backend of passwords that there is. Others (app passwords, LDAP, Kerberos) know nobody here and add nothing."""
R = TypeVar("R", bound=Value)


class Ask(Value, Generic[R]):
    """A question whose answer is a `result`; `kind` names it in the history."""

    kind: ClassVar[str]
    effect: ClassVar[bool] = False
    """Whether asking changes something: a step that asks it is written, whatever it comes to."""


class UserFound(Value):
    """The user that was looked for, or none. `identifier` is what was typed in its canonical form (NFKC, case-folded);
    `ambiguous`: it leads to more than one user, and so to none. That is for the history, never for the visitor."""

    user: UserFacts | None
    identifier: Text
    ambiguous: bool = False


class FindUser(Ask[UserFound]):
    """Who is called this, by any of these fields? Only if it is one person."""

    kind = "directory.user.find"
    fields: tuple[Literal["username", "email", "upn"], ...]
    value: Text
    case_insensitive: bool = True


class GetUser(Ask[UserFound]):
    """What is the case with this user now?"""

    kind = "directory.user.get"
    user: Count


class PasswordVerified(Contract):
    """What came of a password. `ok`: `user` is the account as it is now. `wrong` covers everything else that a visitor
    may be told (unknown, disabled, over a limit): same text, same cost. `limited` says for the audit whose guesses were
    used up: strangers' at the account, those of a network at it, a browser's at it, or an address's at any account.
    `knows_browser`: the account has logged in with this browser, which may learn of it.

    The directory keeps it under the ask's key, so it has a version of its own (`shared.contracts.kept`)."""

    wire_type: ClassVar[str] = "directory.password.verified"
    outcome: Literal["ok", "wrong"]
    user: UserFacts | None = None
    backend: ShortText = ""
    method: ShortText = ""
    limited: Literal["", "account", "network", "browser", "address"] = ""
    knows_browser: bool = False


class VerifyPassword(Ask[PasswordVerified]):
    """Is the secret beside this ask this account's password? Admitted first, then a slot taken, then hashed.

    `user` None is a pretended user: the same work is done for nobody. `identifier` is the account's name, or what was
    typed. Failures are counted for the account (for nobody: under the canonical form of what was typed) and for `address`
    (/64 for IPv6). `flow` and `stage` name the place. Which users have logged in with this browser travels beside the ask.
    """

    kind = "directory.password.verify"
    effect = True
    user: Count | None
    identifier: Text
    backends: tuple[ShortText, ...]
    address: ShortText
    flow: ShortText = ""
    stage: ShortText = ""


class Device(Value):
    """An authenticator that a user has confirmed. `challenge` is what its kind asks a browser, empty for a code."""

    device_class: Annotated[ShortText, open_enum("static", "totp", "webauthn", "duo", "sms")]
    device_uid: ShortText
    challenge: Plain = {}
    last_used_us: Micros | None = None


class DevicesListed(Value):
    """A user's confirmed devices."""

    devices: tuple[Device, ...]


class ListDevices(Ask[DevicesListed]):
    """Which authenticators has this user confirmed?"""

    kind = "directory.devices.list"
    user: Count


class UserSought(Value):
    """`FindUser`, answered."""

    kind: Literal["directory.user.find"] = "directory.user.find"
    ask: FindUser
    result: UserFound


class UserRead(Value):
    """`GetUser`, answered."""

    kind: Literal["directory.user.get"] = "directory.user.get"
    ask: GetUser
    result: UserFound


class PasswordTried(Value):
    """`VerifyPassword`, answered."""

    kind: Literal["directory.password.verify"] = "directory.password.verify"
    ask: VerifyPassword
    result: PasswordVerified


class DevicesRead(Value):
    """`ListDevices`, answered."""

    kind: Literal["directory.devices.list"] = "directory.devices.list"
    ask: ListDevices
    result: DevicesListed


Asked = Annotated[UserSought | UserRead | PasswordTried | DevicesRead, Field(discriminator="kind")]
"""An ask of a step with its result, in the order in which they were asked."""
_PAIRS: Final[Mapping[type[Ask[Any]], type[UserSought | UserRead | PasswordTried | DevicesRead]]] = {
    FindUser: UserSought, GetUser: UserRead, VerifyPassword: PasswordTried, ListDevices: DevicesRead,
}  # fmt: skip
ASKS: Final = tuple(_PAIRS)


def asked(ask: Ask[R], result: R) -> Asked:
    """The pair of both; `pydantic.ValidationError` if this is not how that ask is answered."""
    return _PAIRS[type(ask)].model_validate({"ask": ask, "result": result})
