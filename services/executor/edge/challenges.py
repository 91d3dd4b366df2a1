"""What a run shows, as authentik's challenge objects (docs/compat.md, Challenges); pages are rendered from the same objects."""

from typing import Any, Final

from services.executor.common.avatars import avatar
from shared.contracts.steps import View
from shared.web.base import linked, ours, target

Document = dict[str, Any]
CANCEL_URL: Final = "/flows/-/cancel/"
BACKGROUND: Final = "/static/dist/assets/images/flow_background.jpg"
FLOW_ERROR: Final = "ak-stage-flow-error"
REDIRECT: Final = "xak-flow-redirect"
DENIED: Final = "ak-stage-access-denied"
_LINKS: Final = ("enroll_url", "recovery_url", "passwordless_url")


def document(view: View, request_id: str, *, explained: bool = False) -> Document:
    """The challenge object of a view; `explained`: who looks may know what is wrong with the flow."""
    match view.kind:
        case "challenge":
            problems = (
                {"response_errors": {name: [one.model_dump() for one in some] for name, some in view.errors.items()}} if view.errors else {}
            )
            return {"flow_info": _flow_info(view), "component": view.component, **problems, **_person(view.person), **_fields(view)}
        case "denied":
            return {
                "flow_info": _flow_info(view),
                "component": DENIED,
                **_person(view.person or ""),
                "error_message": view.message,
            }
        case "redirect":
            return redirect(target(view.to))
        case "error":
            return flow_error(request_id) | ({"error": view.message} if explained else {})


def redirect(to: str) -> Document:
    """Sends the browser on. 2024.8.3 knows no `final_redirect`."""
    return {"component": REDIRECT, "to": to}


def flow_error(request_id: str) -> Document:
    """Something failed, or the request was not one; `request_id` is 32 hex digits, the trace id."""
    return {"component": FLOW_ERROR, "request_id": request_id}


def _flow_info(view: View) -> Document:
    return {
        "title": view.title,
        "background": linked(view.flow.background or BACKGROUND),
        "cancel_url": ours(CANCEL_URL),
        "layout": view.flow.layout,
    }


def _fields(view: View) -> Document:
    links = {name: _link(link) for name in _LINKS if isinstance(link := view.fields.get(name), str)}
    return {**view.fields, **links}


def _link(url: str) -> str:
    # To flows of ours, all of them; that of the password stage may begin with scheme and host.
    scheme, mark, rest = url.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host}{linked(slash + path)}"


def _person(name: str | None) -> Document:
    return {} if name is None else {"pending_user": name, "pending_user_avatar": linked(avatar(name))}
