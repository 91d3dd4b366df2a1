"""What bindings come to, and what they come to together. Three values: an error is not false (architecture §4.9).

| mode  | pass                   | fail            | error                    |
|-------|------------------------|-----------------|--------------------------|
| `any` | one passes             | all fail        | none passes, one errs    |
| `all` | all pass, or none bound | one fails      | none fails, one errs     |

So an error decides nothing that the other bindings do not decide without it. `failure_result` can turn an error into a
pass (a stage is shown, a flow goes on), never into a fail, which would remove a stage that guards.
"""

from collections.abc import Sequence
from typing import Final

from shared.contracts.definitions import Mode, PolicyBinding
from shared.contracts.people import UserFacts
from shared.contracts.policy import BindingResult, Outcome
from shared.flows.policy import Decision, PolicyError

MAX_MESSAGES: Final = 32 * 1024
"""Bytes of messages in one verdict, which holds them twice and must fit into its topic."""


def combined(mode: Mode, outcomes: Sequence[Outcome]) -> Outcome:
    """The verdict over all bindings; without any it is a pass."""
    decisive: Outcome = "pass" if mode == "any" else "fail"
    if not outcomes:
        return "pass"
    if decisive in outcomes:
        return decisive
    if "error" in outcomes:
        return "error"
    return "fail" if mode == "any" else "pass"


def decided(binding: PolicyBinding, decision: Decision, duration_us: int = 0) -> BindingResult:
    """What a decision means for its binding: `negate` turns it round, the messages stay."""
    passing = decision.passing != binding.negate
    return BindingResult(
        binding=binding.pk,
        outcome="pass" if passing else "fail",
        messages=decision.messages,
        policy=binding.policy,
        name=binding.policy_name,
        duration_us=duration_us,
    )


def erred(binding: PolicyBinding, error: PolicyError, duration_us: int = 0) -> BindingResult:
    """What an error means for its binding: neither negated nor told to the visitor; `failure_result` makes it a pass."""
    return BindingResult(
        binding=binding.pk,
        outcome="pass" if binding.failure_result else "error",
        reason=error.reason,
        policy=binding.policy,
        name=binding.policy_name,
        failure_result_used=binding.failure_result,
        duration_us=duration_us,
    )


def membership(binding: PolicyBinding, user: UserFacts | None) -> Decision:
    """Whether the binding's user or group is this user's, before `negate` (docs/compat.md, Policies).

    A group binding fails for an anonymous visitor, negated or not, as in authentik (which shows a Python error then).
    """
    if binding.group is not None:
        if user is None:
            return Decision(passing=binding.negate)
        return Decision(any(group.pk == binding.group for group in user.groups))
    return Decision(user is not None and user.pk is not None and user.pk == binding.user)


def bounded(results: Sequence[BindingResult]) -> tuple[BindingResult, ...]:
    """The results with as many messages, in order, as a verdict can hold: too many words must not cost the answer."""
    out, left = [], MAX_MESSAGES
    for result in results:
        left -= sum(len(message.encode()) for message in result.messages)
        out.append(result if left >= 0 else result.model_copy(update={"messages": ()}))
    return tuple(out)
