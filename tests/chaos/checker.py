"""Whether what people were told is what happened: the log by its own rule, PostgreSQL, and every cookie once more.

Knows nothing of how the services work: it reads `executor.sessions` and `executor.state` as any client may, and the table of logins.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Final

import asyncpg

from deploy.cluster import Cluster
from services.executor.sessions.session import evolve, new_session
from shared.contracts import states, topics
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.envelope import Envelope
from shared.contracts.sessions import CODEC, LoggedIn, SessionAdvanced, StagePassed
from shared.contracts.states import SessionState
from tests.chaos.people import Told
from tests.e2e.cluster import faults

History = dict[str, list[tuple[Envelope, SessionAdvanced]]]
HOUR_US: Final = 3_600_000_000


def accepted(cluster: Cluster) -> History:
    """The transitions of each session that count, in order."""
    rules: dict[int, AcceptedTransitions] = {}
    found: History = {}
    for record in faults.records(cluster, topics.SESSIONS):
        received = CODEC.decode(record)
        assert isinstance(received.body, SessionAdvanced)
        if rules.setdefault(record.partition, AcceptedTransitions()).accepts(received.envelope):
            found.setdefault(received.body.session, []).append((received.envelope, received.body))
    return found


def verdict(cluster: Cluster, told: Told, names: dict[str, int]) -> Iterator[str]:
    """Everything that is not as it must be; `names` are the users' keys by name."""
    history = accepted(cluster)
    ins = [(body.session, e.login) for steps in history.values() for _, body in steps for e in body.events if isinstance(e, LoggedIn)]
    rows = asyncio.run(_rows(cluster, "SELECT id, user_pk, ended_us IS NOT NULL AS ended FROM logins"))
    yield from _of_logins(Counter(login.login for _, login in ins), {row["id"] for row in rows})
    yield from _of_people(told, Counter(login.username for _, login in ins))
    for session, steps in history.items():
        yield from _of_evidence(session, [body for _, body in steps], names)
    yield from _of_states(cluster, history)


def _of_logins(by_history: Counter[str], by_database: set[str]) -> Iterator[str]:
    yield from (f"login {login} was begun {times} times" for login, times in by_history.items() if times > 1)
    yield from (f"login {login} is in the history and not in the database" for login in by_history.keys() - by_database)
    yield from (f"login {login} is in the database and not in the history" for login in by_database - by_history.keys())


def _of_people(told: Told, happened: Counter[str]) -> Iterator[str]:
    for name, times in told.logins.items():
        if happened[name] < times:
            yield f"{name} was told of {times} log-ins, the history has {happened[name]}"


def _of_evidence(session: str, steps: list[SessionAdvanced], names: dict[str, int]) -> Iterator[str]:
    """No log-in without a password of that user that was verified in the same run, at or before it."""
    shown: set[tuple[str, int | None]] = set()
    for step in steps:
        for event in step.events:
            if isinstance(event, StagePassed) and event.evidence.proves == "password":
                shown.add((event.run, event.evidence.user))
            if isinstance(event, LoggedIn) and not any(user == event.login.user for _, user in shown):
                yield f"session {session} logged {event.login.username} in without a password"
            if isinstance(event, LoggedIn) and names.get(event.login.username, event.login.user) != event.login.user:
                yield f"session {session} logged in {event.login.username} as {event.login.user}"


def _of_states(cluster: Cluster, history: History) -> Iterator[str]:
    """The newest state of a session is what its history folds to."""
    newest: dict[str, SessionState] = {}
    for record in faults.records(cluster, topics.STATE):
        if record.value is None:
            continue
        state = states.CODEC.decode(record, topics.TOPICS[topics.STATE].max_bytes).body
        assert isinstance(state, SessionState)
        if state.version >= newest.get(state.session, state).version:
            newest[state.session] = state
    for session, steps in history.items():
        folded = new_session(session)
        for envelope, body in steps:
            folded = evolve(folded, envelope, body)
            if session in newest and folded.version == newest[session].version:
                break
        if session not in newest:
            yield f"session {session} has no state"
        elif folded.version < newest[session].version:
            yield f"session {session} has a state of version {newest[session].version}, its history ends at {folded.version}"
        elif not newest[session].ended and folded.model_dump() != newest[session].model_dump():
            yield f"session {session}: its state at version {folded.version} is not what its history folds to"


async def _rows(cluster: Cluster, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(cluster.uris["executor"])
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


def users(cluster: Cluster) -> dict[str, int]:
    """The users' keys by name."""
    return {row["username"]: row["pk"] for row in asyncio.run(_rows(cluster, "SELECT username, pk FROM users"))}
