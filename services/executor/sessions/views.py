"""What a visitor is shown of a run: a challenge, a denial, a redirect or an error, as contracts carry it."""

import re
from typing import Final

from shared.contracts.definitions import FlowFacts
from shared.contracts.steps import Problems, View
from shared.flows.stage import Challenge, Run

UNKNOWN_ERROR: Final = "Unknown error"
"""What a denial without a message says (docs/compat.md, Challenges)."""
NO_REASON: Final = "You were not let in here, and no reason was given. You can start again, or ask your administrator."
"""What a page says instead."""
LONGEST_TITLE: Final = 4096
REFUSED_TARGET: Final = (
    "The address that you were to go on to is not one of this site, or could be taken for another one, so it was left out."
)
NOBODY: Final = "AnonymousUser"
"""Who a title is for while nobody is known (recorded in `invalid-response`)."""


_PLACEHOLDER: Final = re.compile(r"%(?:\((?P<name>user|app)\)s|%)")


def title_of(flow: FlowFacts, person: str) -> str:
    """The flow's title with `%(user)s` and `%(app)s` filled in, and `%%` as a percent sign (docs/compat.md, Challenges).

    These three texts are replaced, once, and nothing else is read as a format: a width could ask for gigabytes. What
    remains is shown as it is. Without blanks around, as recorded: `of %(app)s` ends in one where
    there is no application.
    """
    values = {"app": "", "user": person or NOBODY, None: "%"}
    return _PLACEHOLDER.sub(lambda found: values[found["name"]], flow.title).strip()[:LONGEST_TITLE]


def challenge_view(run: Run, challenge: Challenge, errors: Problems, told: str = "") -> View:
    """A stage's challenge."""
    flow = run.plan.flow
    return View(
        kind="challenge",
        flow=flow,
        title=title_of(flow, run.person),
        component=challenge.component,
        fields=dict(challenge.fields),
        errors={name: tuple(problems) for name, problems in errors.items()},
        person=run.person if challenge.with_user else None,
        told=told,
    )


def denied_view(flow: FlowFacts, person: str, message: str, told: str = "") -> View:
    """The end of a run that did not succeed."""
    said = message.strip()
    return View(
        kind="denied", flow=flow, title=title_of(flow, person), component="ak-stage-access-denied",
        person=person, message=said or UNKNOWN_ERROR, told=told or ("" if said else NO_REASON),
    )  # fmt: skip


def redirect_view(flow: FlowFacts, to: str, *, refused: bool = False) -> View:
    """Where the browser goes at the end of a run; `refused`: not where it was to go, which its visitor is told."""
    message = REFUSED_TARGET if refused else ""
    return View(kind="redirect", flow=flow, title=flow.title, component="xak-flow-redirect", to=to, message=message)


def error_view(flow: FlowFacts, message: str) -> View:
    """Something in the flow's definition does not work; the message is for administrators."""
    return View(kind="error", flow=flow, title=flow.title, component="ak-stage-flow-error", message=message)
