"""What visitors of a cluster see while something is away, and how it is judged (architecture §4.14)."""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.e2e.visitor import AUTHENTICATION, Answer, Visitor

T = TypeVar("T")
PATIENCE_S = 120.0
LOGIN = f"/api/v3/flows/executor/{AUTHENTICATION}/?query="
ME = "/api/v3/core/users/me/"
VISITORS = 8
IDENTIFICATION, PASSWORD, DONE = "ak-stage-identification", "ak-stage-password", "xak-flow-redirect"


def eventually(ask: Callable[[], T], good: Callable[[T], bool], patience_s: float = PATIENCE_S, pause_s: float = 0.2) -> T:
    """Ask again, as a browser's reload does, until the answer is good."""
    deadline = time.monotonic() + patience_s
    while not good(answer := ask()):
        assert time.monotonic() < deadline, answer
        time.sleep(pause_s)
    return answer


KILLS = int(os.environ.get("TAKEOVER_KILLS", "2"))


def shown(answer: Answer) -> str | None:
    """The component that is shown; None for a 503 that says why and when to come back. Anything else is a defect."""
    if answer.status == 200:
        return str(answer.json()["component"])
    refused(answer, 503)
    return None


def refused(answer: Answer, status: int) -> None:
    """Assert that the answer is this problem, and for a 503 that it says when to come back."""
    assert answer.status == status, answer
    if status == 503:
        assert answer.headers["Content-Type"].startswith("application/problem+json"), answer
        assert answer.json()["error"], answer
        assert 1 <= int(answer.headers["Retry-After"]) <= 60, answer


def look(visitor: Visitor) -> str | None:
    """GET the flow."""
    return shown(visitor.ask(LOGIN))


def give(visitor: Visitor, component: str, **fields: Any) -> str | None:
    """POST an answer to the flow; what is shown then."""
    return shown(visitor.ask(LOGIN, {"component": component, **fields}))


def identified(url: str, name: str = "akadmin") -> Visitor:
    """A visitor half-way: who they are is said, the password is asked for."""
    visitor = Visitor(url)
    eventually(lambda: look(visitor), lambda seen: seen == IDENTIFICATION)
    eventually(lambda: give(visitor, IDENTIFICATION, uid_field=name), lambda seen: seen == PASSWORD)
    return visitor


def finish(visitor: Visitor, password: str) -> None:
    """Go on from the password with the same cookies until the login is done; every other answer is a 503."""

    def answered() -> str | None:
        seen = look(visitor)
        assert seen in (PASSWORD, DONE, None), seen
        return give(visitor, PASSWORD, password=password) if seen == PASSWORD else seen

    eventually(answered, lambda seen: seen == DONE)
    assert eventually(lambda: visitor.ask(ME), lambda answer: answer.status != 503).status == 200


def logged_in(url: str, name: str, password: str) -> Visitor:
    """Somebody who is logged in."""
    visitor = identified(url, name)
    finish(visitor, password)
    return visitor


@contextmanager
def people(url: str, password: str) -> Iterator[Callable[[], int]]:
    """So many log in again and again, whatever happens; the number of those who are in."""
    over, came = threading.Event(), []

    def one() -> None:
        while not over.is_set():
            visitor = identified(url)
            finish(visitor, password)
            came.append(visitor)

    with ThreadPoolExecutor(VISITORS) as pool:
        working = [pool.submit(one) for _ in range(VISITORS)]
        try:
            yield lambda: len(came)
        finally:
            over.set()
    for each in working:
        each.result()


@dataclass
class Watch:
    """What one visitor was answered, asked again and again in the background."""

    statuses: Counter[int] = field(default_factory=Counter)
    components: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


@contextmanager
def watched(visitor: Visitor, path: str = LOGIN, allowed: Sequence[int] = (200, 503)) -> Iterator[Watch]:
    """GET a path all the time; on leaving, every answer has to be an allowed one."""
    watch, over = Watch(), threading.Event()

    def ask() -> None:
        while not over.wait(0.1):
            try:
                answer = visitor.ask(path)
                watch.statuses[answer.status] += 1
                if answer.status not in allowed:
                    watch.wrong.append(f"{answer}")
                elif answer.status == 503:
                    refused(answer, 503)
                elif answer.status == 200 and path == LOGIN:
                    watch.components.add(str(answer.json()["component"]))
            except (OSError, AssertionError, KeyError, json.JSONDecodeError) as error:
                watch.wrong.append(repr(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
    assert not watch.wrong, watch.wrong[:5]


def first_answers(visitors: Sequence[Visitor], since: float) -> list[float]:
    """Seconds until a step of each was answered by its session's owner: an answer that lacks the password counts for nothing."""

    def one(visitor: Visitor) -> float:
        eventually(lambda: give(visitor, PASSWORD), bool)
        return time.monotonic() - since

    with ThreadPoolExecutor(len(visitors)) as pool:
        return list(pool.map(one, visitors))


def percentiles(seconds: Sequence[float]) -> str:
    """p50, p99 and the longest."""
    ranked = sorted(seconds)
    p50, p99 = (ranked[min(len(ranked) - 1, int(len(ranked) * share))] for share in (0.5, 0.99))
    return f"p50 {p50:.1f} s, p99 {p99:.1f} s, longest {ranked[-1]:.1f} s"
