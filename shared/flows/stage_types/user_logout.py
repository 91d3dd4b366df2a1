"""A stage that ends the browser's login (docs/compat.md, Log-in and log-out stages)."""

from shared.contracts.orders import LogOut
from shared.flows.effects import Effects
from shared.flows.stage import Challenge, Denied, Passed, Run, Stage, StageConfig


class UserLogoutConfig(StageConfig):
    """Nothing to set."""


class UserLogoutStage(Stage[UserLogoutConfig]):
    """Logs out; by nobody it passes, as there is nothing to end."""

    name = "user_logout"
    app = "authentik_stages_user_logout"
    model = "userlogoutstage"
    path = "user_logout/"
    form = "ak-stage-user-logout-form"
    verbose_name = "User Logout Stage"
    config = UserLogoutConfig

    async def challenge(self, run: Run, config: UserLogoutConfig, do: Effects) -> Challenge | Passed | Denied:
        """See `Stage.challenge`."""
        if run.login is None:
            return Passed(run.subject, "logout")
        do.order(LogOut(login=run.login.login, user=run.login.user, at_us=do.now_us()))
        return Passed(run.login.uid, "logout", logged_out=True)
