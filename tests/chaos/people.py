"""People who log in and out all the time, through whichever edge answers, and write down what they were told.

What a person is told is the whole truth that the checker has: a log-in that was acknowledged, a log-out that was, and every
answer that nobody should get.
"""

import http.client
import json
import random
import threading
import time
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.e2e.cluster.seeing import DONE, IDENTIFICATION, LOGIN, ME, PASSWORD
from tests.e2e.visitor import INVALIDATION, Answer, Visitor

OUT: Final = f"/api/v3/flows/executor/{INVALIDATION}/?query="
WRONG: Final = "not-this-one"
REVOKED_S: Final = 6.0
"""An edge learns of a log-out in a second; one that stood still trusts what it knows for 5 s more (architecture §4.13)."""
WRONG_SHARE: Final = 0.2
STAYS: Final = 0.5
STAY_S: Final = 4.0
AGAIN_S: Final = 0.3
TURNS: Final = 400
UNREACHABLE: Final = Answer(0, "{}")
NETWORK: Final = (urllib.error.URLError, http.client.HTTPException, OSError)


@dataclass
class Told:
    """What people were told. `ins` are the cookies of acknowledged log-ins by name, `outs` those that were logged out since, `set_back` who
    was asked for their name again in the middle of a log-in, and told why."""

    ins: list[tuple[str, Visitor]] = field(default_factory=list)
    outs: list[tuple[str, Visitor]] = field(default_factory=list)
    logins: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    set_back: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def complain(self, name: str, what: str, answer: Answer) -> None:
        """Something that nobody should be told."""
        self.wrong.append(f"{time.strftime('%H:%M:%S')} {name} {what}: {answer.status} {answer.body[:300]}")


class Person:
    """One user and their browsers, one after the other. Ends when `over` is set, or when told something wrong."""

    def __init__(self, name: str, password: str, urls: Callable[[], Sequence[str]], told: Told, seed: int) -> None:
        self.name = name
        self._password = password
        self._urls = urls
        self._told = told
        self._random = random.Random(seed)

    def run(self, over: threading.Event) -> None:
        """Log in, look around, and log out every other time."""
        while not over.is_set() and not self._told.wrong:
            began = time.monotonic()
            visitor = Visitor(self._random.choice(self._urls()))
            if not self._log_in(visitor, over):
                continue
            self._told.waits.append(time.monotonic() - began)
            self._told.logins[self.name] = self._told.logins.get(self.name, 0) + 1
            until = time.monotonic() + self._random.uniform(0, STAY_S)
            while time.monotonic() < until and not over.is_set():
                self.is_still_in(visitor)
                time.sleep(AGAIN_S)
            if self._random.random() < STAYS:
                self._told.ins.append((self.name, visitor))
            else:
                self._log_out(visitor)

    def _log_in(self, visitor: Visitor, over: threading.Event) -> bool:
        """Whether it was acknowledged. Whatever is shown is answered, as a person would; what got no answer is sent again."""
        mistaken, half_way, lost = self._random.random() < WRONG_SHARE, False, False
        body: Mapping[str, Any] | None = None
        answer = self._ask(visitor, LOGIN)
        for _ in range(TURNS):
            if self._told.wrong or (over.is_set() and answer.status != 200):
                return False
            shown = _component(answer)
            if shown == DONE:
                return self.is_still_in(visitor, first=True)
            if shown == IDENTIFICATION:
                self._is_set_back(answer, half_way, lost)
                body, half_way, lost = {"uid_field": self.name}, False, False
            elif shown == PASSWORD and mistaken:
                mistaken, half_way, body = False, True, {"password": WRONG}
            elif shown == PASSWORD:
                if body == {"password": self._password} and "response_errors" in answer.json():
                    self._told.complain(self.name, "right password refused", answer)
                half_way, body = True, {"password": self._password}
            elif answer.status:
                body = None
                self._is_a_reason_to_wait(answer)
                time.sleep(AGAIN_S)
            else:
                lost = lost or body is not None
                time.sleep(AGAIN_S)
            answer = self._ask(visitor, LOGIN, body)
            if body == {"password": WRONG} and _component(answer) == DONE:
                self._told.complain(self.name, "logged in by a wrong password", answer)
        self._told.complain(self.name, f"not logged in after {TURNS} turns", answer)
        return False

    def _is_set_back(self, answer: Answer, half_way: bool, lost: bool) -> None:
        """The first page again in the middle of a log-in: only if a reply was lost for good, and then it says so."""
        told = any(one["code"] == "session_over" for one in answer.json().get("response_errors", {}).get("non_field_errors", ()))
        if half_way and told and lost:
            self._told.set_back.append(self.name)
        elif half_way or (told and not lost):
            self._told.complain(self.name, f"set back, reply lost: {lost}", answer)

    def _is_a_reason_to_wait(self, answer: Answer) -> None:
        if answer.status == 200:
            self._told.complain(self.name, "an unexpected challenge", answer)
        elif answer.status != 503:
            self._told.complain(self.name, "neither a challenge nor a reason to wait", answer)

    def is_still_in(self, visitor: Visitor, first: bool = False) -> bool:
        """Whether the browser is who they are; anything but yes and "ask later" is wrong, unless the answer to a log-in was lost."""
        for _ in range(TURNS):
            answer = self._ask(visitor, ME)
            if answer.status in (0, 503):
                time.sleep(AGAIN_S)
                continue
            if answer.status != 200 or answer.json()["user"]["username"] != self.name:
                self._told.complain(self.name, "acknowledged, and not logged in" if first else "logged in, and no longer", answer)
                return False
            return True
        self._told.complain(self.name, "nobody says who this browser is", UNREACHABLE)
        return False

    def _log_out(self, visitor: Visitor) -> None:
        """Until it is acknowledged: the cookie that the browser had is worth nothing soon after."""
        before = Visitor(visitor.base_url)
        for cookie in visitor.jar:
            before.jar.set_cookie(cookie)
        for _ in range(TURNS):
            answer = self._ask(visitor, OUT)
            if _component(answer) == DONE:
                time.sleep(REVOKED_S)
                self.is_out(before)
                self._told.outs.append((self.name, before))
                return
            if answer.status not in (0, 503):
                self._told.complain(self.name, "log-out", answer)
                return
            time.sleep(AGAIN_S)
        self._told.complain(self.name, "not logged out", UNREACHABLE)

    def is_out(self, visitor: Visitor) -> None:
        """Every edge says so."""
        for url in self._urls():
            visitor.base_url = url
            answer = self._ask(visitor, ME, fixed=True)
            if answer.status not in (0, 403, 503):
                self._told.complain(self.name, f"logged out, and let in by {url}", answer)

    def _ask(self, visitor: Visitor, path: str, body: Mapping[str, Any] | None = None, fixed: bool = False) -> Answer:
        """One request; 0 for an edge that does not answer, and the next one goes to another."""
        try:
            answer = visitor.ask(path, body)
        except NETWORK:
            if not fixed:
                visitor.base_url = self._random.choice(self._urls())
            return UNREACHABLE
        if answer.status == 503 and "Retry-After" not in answer.headers:
            self._told.complain(self.name, "503 without Retry-After", answer)
        return answer


def _component(answer: Answer) -> str | None:
    if answer.status != 200:
        return None
    try:
        return str(answer.json()["component"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return None
