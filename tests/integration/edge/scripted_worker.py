"""A worker by script: enough of the real one's replies for the edge to be tried against, over a real log."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from services.executor.common.sealing import new_private_key, open_sealed, private_key, public_half
from services.executor.rules.destinations import Failed, Redirect, destination
from shared.contracts.codec import encode
from shared.contracts.definitions import Designation, FlowFacts
from shared.contracts.directory import KeyPublished
from shared.contracts.envelope import Envelope
from shared.contracts.people import LoginClaims
from shared.contracts.steps import CODEC, Outcome, StepReplied, StepRequested, View
from shared.contracts.topics import REPLIES, STEPS, TOPICS
from shared.flows.fields import clean, problem
from shared.flows.stage_types.identification import IdentificationStage
from shared.flows.stage_types.password import PasswordStage
from shared.messaging.log import Log, Message, Record

NOW = 1_800_000_000_000_000
AUTH, OUT, DUMMY, SLOW = "default-authentication-flow", "default-invalidation-flow", "o-next-hostile-f", "slow-flow"
OUT_AND_ON = "log-out-and-go-on"
EMPTY, ASKS_NOTHING_MORE = "log-in-of-no-stages", "log-in-of-one-question"
IDENTIFICATION: dict[str, Any] = {
    "user_fields": ("email", "username"), "password_fields": False, "allow_show_password": False,
    "flow_designation": "authentication", "primary_action": "Log in", "sources": (), "show_source_labels": False,
}  # fmt: skip


def flow(slug: str, title: str, designation: Designation) -> FlowFacts:
    return FlowFacts(pk=slug, slug=slug, name=title, title=title, designation=designation)


FLOWS = {
    AUTH: flow(AUTH, "Welcome to authentik!", "authentication"),
    OUT: flow(OUT, "Logging out", "invalidation"),
    DUMMY: flow(DUMMY, DUMMY, "stage_configuration"),
    SLOW: flow(SLOW, SLOW, "stage_configuration"),
    OUT_AND_ON: flow(OUT_AND_ON, OUT_AND_ON, "invalidation"),
    EMPTY: flow(EMPTY, EMPTY, "authentication"),
    ASKS_NOTHING_MORE: flow(ASKS_NOTHING_MORE, ASKS_NOTHING_MORE, "authentication"),
}


class Keys:
    """One epoch key, for ever."""

    def __init__(self) -> None:
        self.private = new_private_key()
        self.known = True

    def current(self) -> KeyPublished | None:
        far = NOW * 2
        public = public_half(self.private)
        return KeyPublished(epoch="e1", public=public, made_us=0, seal_until_us=far, open_until_us=far) if self.known else None


@dataclass
class Session:
    rotation: int = 0
    login: LoginClaims | None = None
    over: bool = False
    version: int = 0
    runs: dict[str, "Run"] = field(default_factory=dict)
    answered: dict[str, tuple[tuple[object, ...], StepReplied]] = field(default_factory=dict)


@dataclass
class Run:
    name: str
    stage: int = 0
    version: int = 0
    person: str = ""
    over: bool = False
    view: View | None = None


class ScriptedWorker:
    """Tails the steps and replies. `steps` are all it saw, `held` commands wait until `release`."""

    def __init__(self, log: Log, keys: Keys) -> None:
        self._log = log
        self._keys = keys
        self._task: asyncio.Task[None] | None = None
        self.sessions: dict[str, Session] = {}
        self.steps: list[StepRequested] = []
        self.bodies: list[Any] = []
        self.transitions = 0
        self.forced: Callable[[StepRequested], StepReplied | None] | None = None
        self.silent = False
        self._logins = 0

    async def start(self) -> None:
        self._task = asyncio.create_task(self._work())
        await asyncio.sleep(0)

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _work(self) -> None:
        async for records in self._log.tail(STEPS, dict.fromkeys(range(TOPICS[STEPS].partitions), 0)):
            for record in records:
                await self._step(record)

    async def _step(self, record: Record) -> None:
        step = CODEC.decode(record).body
        assert isinstance(step, StepRequested)
        self.steps.append(step)
        reply = self.forced(step) if self.forced else None
        reply = reply or self.decide(step)
        if not self.silent:
            await self.send(step, reply)

    async def send(self, step: StepRequested, reply: StepReplied) -> None:
        key = str(step.reply_partition)
        envelope = Envelope(id=f"r.{step.command}", type=reply.wire_type, version=1, source="test", subject=key, time_us=NOW)
        headers, value = encode(envelope, reply)
        await self._log.append(Message(REPLIES, step.reply_partition, key.encode(), value, headers))

    def reply(self, step: StepRequested, outcome: Outcome, run: Run | None = None, **more: Any) -> StepReplied:
        session = self.sessions.get(step.session) or Session()
        place = {"run": run.name, "transition": f"t{run.version}", "version": run.version, "view": run.view} if run else {}
        state = {"rotation": session.rotation, "open": any(not one.over for one in session.runs.values())}
        return StepReplied(command=step.command, edge=step.edge, session=step.session, outcome=outcome, **{**state, **place, **more})

    def decide(self, step: StepRequested) -> StepReplied:
        if step.kind == "locate":
            slug = {"authentication": AUTH, "invalidation": OUT}.get(step.designation or "")
            return self.reply(step, "located", slug=slug)
        session = self.sessions.get(step.session)
        if session and (again := self._again(step, session)):
            return again
        if step.flow and step.flow not in FLOWS:
            return self.reply(step, "unknown_flow")
        if session.over if session else step.rotation:
            return self.reply(step, "refused", reason="session_over", session_over=True, rotation=0, open=False)
        if session is not None and step.rotation != session.rotation:
            return self.reply(step, "superseded")
        session = self.sessions.setdefault(step.session, Session())
        reply = self._taken(step, session)
        if reply.outcome == "accepted":
            self.transitions += 1
            session.answered[step.command] = (self._sent(step), reply)
        return reply

    def _sent(self, step: StepRequested) -> tuple[object, ...]:
        body = open_sealed(private_key(self._keys.private), step.sealed, step.session, step.command) if step.sealed else None
        return step.flow, step.shown, body

    def _again(self, step: StepRequested, session: Session) -> StepReplied | None:
        """The reply to what is sent again: by the same body, or by who awaits it."""
        found = None
        if step.command in session.answered or step.awaited in session.answered:
            _, found = session.answered[step.command if step.command in session.answered else step.awaited or ""]
        elif step.kind == "answer":
            found = next((reply for sent, reply in session.answered.values() if sent == self._sent(step)), None)
        if found is None or session.rotation not in (found.rotation, step.rotation):
            return None
        return found.model_copy(update={"command": step.command})

    def _taken(self, step: StepRequested, session: Session) -> StepReplied:
        run = session.runs.get(step.flow)
        match step.kind:
            case "cancel":
                opened = [one for one in session.runs.values() if not one.over]
                for one in opened:
                    one.over = True
                return self.reply(step, "accepted" if opened else "current")
            case "state":
                return self.reply(step, "current", run)
            case "start":
                if run and not run.over:
                    return self.reply(step, "current", run)
                return self._begun(step, session)
            case _:
                pass
        if run and step.shown and step.shown.version < run.version:
            return self.reply(step, "current", run)
        if run is None or run.over:
            begun = self._begun(step, session)
            run = session.runs[step.flow]
            if run.over:
                return begun
        return self._answered(step, session, run)

    def _begun(self, step: StepRequested, session: Session) -> StepReplied:
        run = Run(f"run{self.transitions}")
        session.runs[step.flow] = run
        if step.flow == OUT:
            return self._logged_out(step, session, run)
        if step.flow == EMPTY:
            run.over, found = True, destination(step.query)
            run.view = self._end(step, found.to if isinstance(found, Redirect) else "/")
            return self.reply(step, "offered", run)
        self._show(session, run, step.flow, {})
        if step.flow == OUT_AND_ON and step.login:
            session.rotation += 1
            return self.reply(step, "accepted", run, logged_out=True, rotated=True)
        return self.reply(step, "accepted", run)

    def _logged_out(self, step: StepRequested, session: Session, run: Run) -> StepReplied:
        run.over, run.version = True, session.version + 1
        session.version += 1
        to = "/" if step.login else destination(step.query)
        run.view = self._end(step, to if isinstance(to, str) else to.to if isinstance(to, Redirect) else "/")
        session.over = step.login is not None
        return self.reply(step, "accepted", run, logged_out=step.login is not None, session_over=session.over)

    def _answered(self, step: StepRequested, session: Session, run: Run) -> StepReplied:
        assert step.sealed is not None
        body = json.loads(open_sealed(private_key(self._keys.private), step.sealed, step.session, step.command))
        self.bodies.append(body)
        if step.flow == OUT_AND_ON:
            session.over = True
            return self._finished(step, session, run, session_over=True)
        if step.flow != AUTH:
            return self._finished(step, session, run)
        name = "password" if run.stage else "uid_field"
        cleaned = clean(PasswordStage.fields if run.stage else IdentificationStage.fields, body)
        if isinstance(cleaned, dict):
            self._show(session, run, AUTH, cleaned)
            return self.reply(step, "accepted", run)
        value = cleaned.secret.get(name) or cleaned.clear.get(name)
        if name == "password" and value != "alice-pw":
            self._show(session, run, AUTH, {name: (problem("Invalid password"),)})
            return self.reply(step, "accepted", run)
        if name == "uid_field":
            run.stage, run.person = 1, str(value)
            self._show(session, run, AUTH, {})
            return self.reply(step, "accepted", run, advanced=True)
        self._logins += 1
        session.rotation += 1
        session.login = LoginClaims(
            login=f"login{self._logins}", user=7, uid="u" * 8, username=run.person, methods=("password",), at_us=NOW, expires_us=None,
            persistent=False, epoch=0,
        )  # fmt: skip
        return self._finished(step, session, run, login=session.login, rotated=True)

    def _finished(self, step: StepRequested, session: Session, run: Run, **more: Any) -> StepReplied:
        run.over = True
        session.version += 1
        run.version = session.version
        where = destination(step.query)
        facts = FLOWS[step.flow]
        match where:
            case Redirect(to):
                run.view = self._end(step, to)
            case Failed():
                run.view = View(kind="error", flow=facts, title=facts.title, component="ak-stage-flow-error", message="next")
            case _:
                run.view = View(
                    kind="denied", flow=facts, title=facts.title, component="ak-stage-access-denied", person="", message=where.message
                )
        return self.reply(step, "accepted", run, advanced=True, **more)

    def _end(self, step: StepRequested, to: str) -> View:
        facts = FLOWS[step.flow]
        return View(kind="redirect", flow=facts, title=facts.title, component="xak-flow-redirect", to=to)

    def _show(self, session: Session, run: Run, slug: str, errors: dict[str, tuple[Any, ...]]) -> None:
        session.version += 1
        run.version = session.version
        facts = FLOWS[slug]
        if slug != AUTH:
            run.view = View(
                kind="challenge", flow=facts, title=facts.title, component="ak-stage-dummy", fields={"name": "o-next-hostile-d"}
            )
        elif run.stage == 0:
            run.view = View(
                kind="challenge", flow=facts, title=facts.title, component="ak-stage-identification", fields=IDENTIFICATION, errors=errors
            )
        else:
            run.view = View(
                kind="challenge", flow=facts, title=facts.title, component="ak-stage-password", fields={"allow_show_password": False},
                errors=errors, person=run.person,
            )  # fmt: skip
