"""What an expression sees of the facts: objects with exactly these attributes, copied into the worker, never shared.

authentik hands its own objects to an expression; here an attribute that is not listed does not exist, so no expression
reads what nobody decided that it may (security reference 7.4, P23, P29).
"""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any, Final

from pydantic import ValidationError
from pydantic_monty import ClassInstance

from services.policy.adapters.sandbox.scope import CLIENT
from shared.contracts import wire
from shared.contracts.people import UserFacts
from shared.contracts.policy import Facts
from shared.flows.policy import PolicyError

MAX_CONTEXT: Final = 64 * 1024


class _Facts:
    def __init__(self, **facts: Any) -> None:
        self.__dict__.update(facts)


class Group(_Facts):
    """A group that the user is in, directly or through an ancestor."""


class User(_Facts):
    """A user; has `backend` only once they proved in this run who they are."""


class AnonymousUser(_Facts):
    """Nobody."""


class HttpRequest(_Facts):
    """Where the request came from."""


class FlowPlan(_Facts):
    """The running flow."""


class Request(_Facts):
    """What is being decided."""


def inputs(facts: Facts, wanted: Iterable[str]) -> dict[str, Any]:
    """The values of the names that a program needs; `PolicyError` for facts that no expression can be given."""
    if len(wire.pack(facts.context)) > MAX_CONTEXT:
        raise PolicyError("memory", f"the context has more than {MAX_CONTEXT} bytes")
    view = _View(facts)
    makers: dict[str, Callable[[], Any]] = {
        "request": view.request,
        "context": lambda: view.context,
        "http_request": lambda: view.http_request,
        "ak_is_sso_flow": lambda: bool(facts.context.get("is_sso", False)),
    }
    return {CLIENT if name == "ak_client_ip" else name: _client(facts) if name == "ak_client_ip" else makers[name]() for name in wanted}


class _View:
    """The objects of one question; each is made once, so that it is the same object wherever it appears."""

    def __init__(self, facts: Facts) -> None:
        self.user = _user(facts.user)
        plan_context = {name: _plain(value) for name, value in facts.context.items()}
        if "pending_user" in plan_context:
            plan_context["pending_user"] = self._pending(facts)
        self.context: dict[str, Any] = dict(plan_context)
        if facts.planned:
            self.context["flow_plan"] = _instance(FlowPlan(context=plan_context))
        visitor = facts.visitor
        meta = {"REMOTE_ADDR": visitor.address, "HTTP_USER_AGENT": visitor.user_agent, "HTTP_HOST": visitor.host}
        self.http_request = _instance(HttpRequest(META=meta, user=_user(visitor.user)))

    def request(self) -> ClassInstance:
        return _instance(Request(user=self.user, context=self.context, http_request=self.http_request, obj=None, debug=False))

    def _pending(self, facts: Facts) -> Any:
        try:
            pending = UserFacts.model_validate(facts.context["pending_user"])
        except ValidationError:
            raise PolicyError("exception", "the pending user is not a user") from None
        return self.user if pending == facts.user else _user(pending)


def _user(user: UserFacts | None) -> ClassInstance:
    if user is None:
        nobody: dict[str, Any] = {"pk": None, "username": "", "name": "", "email": "", "uid": "", "attributes": {}, "groups": []}
        flags = {"is_active": False, "is_superuser": False, "is_authenticated": False, "is_anonymous": True}
        return _instance(AnonymousUser(**nobody, **flags))
    names = ("pk", "uuid", "uid", "username", "name", "email", "is_active", "is_superuser", "type", "path")
    shown: dict[str, Any] = {name: getattr(user, name) for name in names}
    shown["attributes"] = _plain(user.attributes)
    shown["groups"] = [_instance(Group(pk=group.pk, name=group.name, is_superuser=group.is_superuser)) for group in user.groups]
    shown |= {"is_authenticated": True, "is_anonymous": False}
    if user.backend:
        shown["backend"] = user.backend
    return _instance(User(**shown))


def _instance(value: _Facts) -> ClassInstance:
    return ClassInstance(value, eager_attrs="all")


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
