"""A policy that an administrator writes: an expression over the facts of a request (docs/compat.md, Expressions)."""

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from shared.contracts.policy import Facts
from shared.flows.expression import BadExpression, check
from shared.flows.policy import Decision, Policy, PolicyConfig, PolicyTools


class ExpressionConfig(PolicyConfig):
    """The expression: the body of a function that returns whether the request passes."""

    expression: str

    @field_validator("expression")
    @classmethod
    def _checked(cls, value: str) -> str:
        try:
            check(value)
        except BadExpression as refused:
            raise PydanticCustomError("expression", "{reason}", {"reason": str(refused)}) from None
        return value


class ExpressionPolicy(Policy[ExpressionConfig]):
    """Passes if the expression returns something true; nothing returned is a fail, an exception an error."""

    name = "expression"
    app = "authentik_policies_expression"
    model = "expressionpolicy"
    path = "expression/"
    form = "ak-policy-expression-form"
    verbose_name = "Expression Policy"
    config = ExpressionConfig

    async def decide(self, config: ExpressionConfig, facts: Facts, tools: PolicyTools, timeout_s: float) -> Decision:
        """See `Policy.decide`."""
        return await tools.evaluate(config.expression, facts, timeout_s)
