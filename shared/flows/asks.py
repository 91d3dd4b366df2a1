"""What a stage may ask before a transition. Results are recorded in the transition and fed back in a replay.

An ask may change something (an attempt is counted), so whoever answers it remembers its key (session, version, command,
n, kind) and gives the same answer to the same key (architecture §4.4). Secrets travel beside an ask, never in it.
"""

from typing import Any, ClassVar, Final, Generic, Literal, TypeVar

from shared.contracts.model import Count, Plain, ShortText, Text, Value
from shared.contracts.people import UserFacts

INBUILT: Final = "authentik.core.auth.InbuiltBackend"
"""The one backend of passwords that there is. Others (app passwords, LDAP, Kerberos) know nobody here and add nothing."""
R = TypeVar("R", bound=Value)


class Ask(Value, Generic[R]):
    """A question whose answer is a `result`; `kind` names it in the history."""

    kind: ClassVar[str]
    result: ClassVar[type[Any]]
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
    result = UserFound
    fields: tuple[Literal["username", "email", "upn"], ...]
    value: Text
    case_insensitive: bool = True


class GetUser(Ask[UserFound]):
    """What is the case with this user now?"""

    kind = "directory.user.get"
    result = UserFound
    user: Count


class PasswordVerified(Value):
    """What came of a password. `ok`: `user` is the account as it is now. `wrong` covers everything else that a visitor
    may be told (unknown, disabled, over a limit): same text, same cost. `limited` says for the audit whose guesses were
    used up: strangers' at the account, those of a network at it, a browser's at it, or an address's at any account.
    `knows_browser`: the account has logged in with this browser, which may learn of it."""

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
    result = PasswordVerified
    user: Count | None
    identifier: Text
    backends: tuple[ShortText, ...]
    address: ShortText
    flow: ShortText = ""
    stage: ShortText = ""


class DevicesListed(Value):
    """A user's confirmed devices: `{device_class, device_uid, challenge, last_used}` each."""

    devices: tuple[Plain, ...]


class ListDevices(Ask[DevicesListed]):
    """Which authenticators has this user confirmed?"""

    kind = "directory.devices.list"
    result = DevicesListed
    user: Count


ASKS: tuple[type[Ask[Any]], ...] = (FindUser, GetUser, VerifyPassword, ListDevices)
WITH_EFFECT: Final = frozenset(ask.kind for ask in ASKS if ask.effect)
