"""Which stages of a flow are planned, given what policy said about them (docs/compat.md, Plans).

| `evaluate_on_plan` | `re_evaluate_policies` | policies of the binding |
| --- | --- | --- |
| false | true | asked each time the stage is reached |
| true | false | asked once, now |
| true | true | asked now and again; either can remove the stage |
| false | false | never asked: the stage always runs |
"""

from collections.abc import Collection, Mapping

from shared.contracts.definitions import FlowBody, StageBinding
from shared.contracts.policy import Outcome


def in_order(flow: FlowBody) -> tuple[StageBinding, ...]:
    """The flow's stage bindings, ascending; the pk decides between equals, so that every planner says the same."""
    return tuple(sorted(flow.bindings, key=lambda binding: (binding.order, binding.pk)))


def asked_now(flow: FlowBody) -> tuple[StageBinding, ...]:
    """The bindings whose policies are asked while planning. One without policies passes unasked."""
    return tuple(binding for binding in in_order(flow) if binding.evaluate_on_plan and binding.guard.bindings)


def kept(flow: FlowBody, outcomes: Mapping[str, Outcome], obligations: Collection[str]) -> tuple[StageBinding, ...]:
    """The bindings that are planned. `outcomes` are by binding pk, for those of `asked_now`.

    Only a plain `fail` removes a stage: an error is not false, and a stage that once guarded this subject stays
    (architecture §4.9).
    """
    return tuple(binding for binding in in_order(flow) if outcomes.get(binding.pk) != "fail" or binding.pk in obligations)
