"""The stage that checks the password of the pending user (docs/compat.md, Password)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field as Limits

from shared.contracts.asks import INBUILT, PasswordVerified, VerifyPassword
from shared.contracts.definitions import StageBody
from shared.contracts.people import UserFacts
from shared.contracts.steps import Problems
from shared.flows.effects import Answer, Effects
from shared.flows.evidence import Proof
from shared.flows.fields import Field, TextField, problem
from shared.flows.references import Reference
from shared.flows.stage import Challenge, Denied, Outcome, Passed, Refused, Run, Stage, StageConfig, StageFailed
from shared.kernel.places import named_host

Backend = Literal[
    "authentik.core.auth.InbuiltBackend",
    "authentik.core.auth.TokenBackend",
    "authentik.sources.ldap.auth.LDAPBackend",
]
FAILURES: Final = "password_failures"
"""The session's counter of answers that were no good: shared by all password stages, outlives a cancelled run."""

TOO_MANY: Final = (
    "Too many wrong passwords were entered here, so this log-in has ended. You can start again. If the right password is refused as well, "
    "wait an hour, or use a browser in which you have logged in before; an administrator can unlock an account at once."
)
ADDRESS_LIMITED: Final = (
    "Too many wrong passwords have come from your network, so none from there is looked at now. "
    "Wait an hour, use another network, or ask your administrator."
)
LOCKED: Final = (
    "Too many wrong passwords were entered for this account, so yours was not looked at. "
    "Wait an hour, or ask your administrator to unlock the account."
)


class PasswordConfig(StageConfig):
    """Where passwords are checked, and how many wrong answers a session has before its run ends for good."""

    backends: tuple[Backend, ...]
    configure_flow: Annotated[str | None, Reference("flow")] = None
    failed_attempts_before_cancel: Annotated[int, Limits(ge=-(2**31), le=2**31 - 1)] = 5
    allow_show_password: bool = False


class PasswordStage(Stage[PasswordConfig]):
    """Takes a password and has the directory verify it."""

    name = "password"
    app = "authentik_stages_password"
    model = "passwordstage"
    path = "password/"
    form = "ak-stage-password-form"
    verbose_name = "Password Stage"
    config = PasswordConfig
    fields: ClassVar[Mapping[str, Field]] = {"password": TextField(trim=False, secret=True)}
    proves = frozenset(("password",))

    def can_prove(self, config: PasswordConfig, references: Mapping[str, StageBody]) -> bool:
        """See `Stage.can_prove`: not with backends alone that know nobody here."""
        return INBUILT in config.backends

    async def challenge(self, run: Run, config: PasswordConfig, do: Effects) -> Challenge | Passed | Denied:
        """See `Stage.challenge`."""
        recovery = _recovery_url(run)
        fields = {"recovery_url": recovery} if recovery else {}
        return Challenge("ak-stage-password", fields | {"allow_show_password": config.allow_show_password}, with_user=True)

    async def answer(self, run: Run, config: PasswordConfig, answer: Answer, do: Effects) -> Outcome:
        """See `Stage.answer`. A pretended user costs the same work and gets the same refusal as a wrong password."""
        user = run.pending_user
        if user is None:
            return Denied()
        proved = await verified(run, user, config, answer, do)
        if isinstance(proved, Wrong):
            return failed(run, config, {"password": (problem("Invalid password"),)}, proved)
        return Passed(proved.user.uid, "password", proved_context(proved.user), proved.user, proof=proved)

    def missing(self, run: Run, config: PasswordConfig, problems: Problems) -> Refused | Denied:
        """See `Stage.missing`: an answer without a password is an attempt as well."""
        return failed(run, config, problems)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A password that was no good; `told` is what a page says of it beside that."""

    told: str = ""


NOTHING_TOLD: Final = Wrong()


async def verified(run: Run, user: UserFacts, config: PasswordConfig, answer: Answer, do: Effects) -> Proof | Wrong:
    """The proof that the directory found in this answer's password, for this user. The one in it has its backend."""
    result = await do.ask(
        VerifyPassword(
            user=user.pk, identifier=user.username, backends=config.backends, address=run.visitor.address,
            flow=run.plan.flow.slug, stage=run.stage.name,
        ),
        answer.sealed("password"),
    )  # fmt: skip
    if result.outcome != "ok":
        return Wrong(_told(result))
    if result.user is None or user.pk is None or (result.user.pk, result.user.uid) != (user.pk, user.uid):
        raise StageFailed("a password was verified for somebody else")
    return Proof("password", result.user.model_copy(update={"backend": result.backend}))


def proved_context(user: UserFacts) -> Mapping[str, object]:
    """What policies and later stages read of a password that was proved, in authentik's names."""
    return {"user_backend": user.backend, "auth_method": "password", "auth_method_args": {}}


def failed(run: Run, config: PasswordConfig, problems: Problems, wrong: Wrong = NOTHING_TOLD) -> Refused | Denied:
    """Count an answer that was no good. The one that reaches the limit denies and clears the counter; no restart goes
    around it, unlike in authentik, where guesses are unlimited then (docs/compat.md, Password)."""
    failures = run.counters.get(FAILURES, 0) + 1
    if failures >= config.failed_attempts_before_cancel:
        return Denied(counters={FAILURES: 0}, final=True, told=wrong.told or TOO_MANY, reason="too_many_failures")
    return Refused(problems, counters={FAILURES: failures}, told=wrong.told)


def _told(result: PasswordVerified) -> str:
    """What does not depend on the name may be told to all; what is the case with an account, only to a browser of its owner."""
    if result.limited == "address":
        return ADDRESS_LIMITED
    return LOCKED if result.limited and result.knows_browser else ""


def _recovery_url(run: Run) -> str | None:
    """Absolute, as in authentik. Where an administrator has named the host, as the brand's domain, no `Host` of a stranger's
    goes before it."""
    slug = run.plan.links.get(run.plan.brand.flow_recovery or "")
    if slug is None:
        return None
    scheme = "https" if run.visitor.secure else "http"
    return f"{scheme}://{named_host(run.visitor.host, run.plan.brand.domain)}/if/flow/{slug}/"
