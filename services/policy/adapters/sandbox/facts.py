"""What an expression sees of the facts: exactly these values, copied into the worker, never shared.

authentik hands its own objects to an expression; here what is not listed does not exist, so no expression reads what
nobody decided that it may. The objects themselves are made in the worker: handed
over as objects, they cost twice the whole evaluation.
"""

import ipaddress
from typing import Any, Final

from services.policy.adapters.sandbox.program import Program
from services.policy.adapters.sandbox.scope import CLIENT, FACTS, SSO
from shared.contracts import wire
from shared.contracts.people import UserFacts
from shared.contracts.policy import Facts
from shared.flows.policy import PolicyError

MAX_CONTEXT: Final = 64 * 1024
_USER: Final = ("pk", "username", "uuid", "uid", "name", "email", "is_active", "is_superuser", "type", "path")
_ALWAYS: Final = frozenset({"pk", "username"})  # what equality and the text of a user are made of
_NOBODY: Final[dict[str, Any]] = {
    "pk": None,
    "username": "",
    "name": "",
    "email": "",
    "uid": "",
    "attributes": {},
    "groups": [],
    "is_active": False,
    "is_superuser": False,
    "is_authenticated": False,
    "is_anonymous": True,
}


def inputs(facts: Facts, program: Program) -> dict[str, Any]:
    """The values of the names that a program needs; `PolicyError` for facts that no expression can be given."""
    if len(wire.pack(facts.context)) > MAX_CONTEXT:
        raise PolicyError("memory", f"the context has more than {MAX_CONTEXT} bytes")
    given: dict[str, Any] = {SSO: bool(facts.context.get("is_sso", False))}
    if program.wants_facts:
        given[FACTS] = _facts(facts, program)
    if program.wants_address:
        given[CLIENT] = _client(facts)
    return given


def _facts(facts: Facts, program: Program) -> dict[str, Any]:
    visitor = facts.visitor
    context = {name: _plain(value) for name, value in facts.context.items()}
    if facts.pending_user:
        context["pending_user"] = _user(facts.pending_user, program)
    return {
        "user": _user(facts.user, program),
        "visitor": _user(visitor.user, program),
        "context": context,
        "planned": facts.planned,
        "meta": {"REMOTE_ADDR": visitor.address, "HTTP_USER_AGENT": visitor.user_agent, "HTTP_HOST": visitor.host},
    }


def _user(user: UserFacts | None, program: Program) -> dict[str, Any]:
    shown = _NOBODY if user is None else _somebody(user)
    return {name: value for name, value in shown.items() if name in _ALWAYS or program.reads(name)}


def _somebody(user: UserFacts) -> dict[str, Any]:
    shown: dict[str, Any] = {name: getattr(user, name) for name in _USER}
    shown["attributes"] = _plain(user.attributes)
    shown["groups"] = [{"pk": group.pk, "name": group.name, "is_superuser": group.is_superuser} for group in user.groups]
    shown |= {"is_authenticated": True, "is_anonymous": False}
    # The attribute is there only once they proved in this run who they are: default flows ask for just that.
    return shown | {"backend": user.backend} if user.backend else shown


def _plain(value: Any) -> Any:
    """Arrays come from the wire as tuples; expressions expect lists."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _client(facts: Facts) -> tuple[Any, ...]:
    try:
        return address(facts.visitor.address)
    except ValueError:
        raise PolicyError("exception", "the visitor's address is not an address") from None


def address(text: str) -> tuple[Any, ...]:
    """What `sluice_Address` is made of; `ValueError` if this is no address."""
    parsed = ipaddress.ip_address(text)
    return (parsed.version, int(parsed), parsed.compressed, parsed.is_private, parsed.is_global, parsed.is_loopback)


def network(text: str) -> tuple[Any, ...]:
    """What `sluice_Network` is made of; `ValueError` if this is no network."""
    parsed = ipaddress.ip_network(text)
    return (parsed.version, int(parsed.network_address), int(parsed.broadcast_address), parsed.compressed)
