"""A closed loop of visitors against one server: `python -m tests.bench.driver` runs as a process of its own, so that its CPU
stands apart from what it measures. Prints one JSON object.

A login is a fresh cookie jar and every request of the protocol until the login cookie is there; connections are kept alive
and shared, as behind a gateway. What ends between the warm-up's end and the run's counts: as much is under way at the one as at
the other.
"""

import argparse
import asyncio
import json
import resource
import time
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

FLOW: Final = "/api/v3/flows/executor/default-authentication-flow/?query="
ME: Final = "/api/v3/core/users/me/"


class Failed(Exception):
    """An answer that is not what the protocol says."""


@dataclass
class Measured:
    """Seconds of each login and of each request of the flow, and what went wrong."""

    logins: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)


class Visitor:
    """One browser."""

    def __init__(self, http: aiohttp.ClientSession, base: str, measured: Measured) -> None:
        self._http = http
        self._base = base
        self._measured = measured
        self.jar: dict[str, str] = {}

    async def send(self, method: str, path: str, body: Any = None) -> tuple[int, str, Any]:
        """One request: status, location, parsed body."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items())} if self.jar else {}
        began = time.perf_counter()
        async with self._http.request(method, self._base + path, json=body, headers=headers, allow_redirects=False) as answer:
            text = await answer.text()
            for line in answer.headers.getall("Set-Cookie", ()):
                name, _, value = line.split(";", 1)[0].partition("=")
                self.jar[name] = value
            status, location = answer.status, answer.headers.get("Location", "")
        self._measured.steps.append(time.perf_counter() - began)
        return status, location, json.loads(text) if text else None

    async def login(self, user: str, password: str) -> None:
        """The whole of a log-in; `Failed` unless the session's cookie was renewed at its end."""
        challenge = await self._follow("GET")
        before = self.jar.get("authentik_session")
        for field_, value in (("uid_field", user), ("password", password)):
            challenge = await self._follow("POST", {field_: value})
        if challenge.get("component") != "xak-flow-redirect" or self.jar.get("authentik_session") in (None, before):
            raise Failed(f"ended at {challenge.get('component')} {json.dumps(challenge.get('response_errors'))}")

    async def _follow(self, method: str, body: Any = None) -> dict[str, Any]:
        status, location, answer = await self.send(method, FLOW, body)
        for _ in range(20):
            if status != 503:
                break
            # As `Retry-After: 1` says. What is still being worked on is asked for, what was not taken is sent again.
            await asyncio.sleep(1)
            again = ("GET", FLOW, None) if answer.get("error") == "still_working" else (method, FLOW, body)
            status, location, answer = await self.send(*again)
        for _ in range(5):
            if status != 302:
                break
            status, location, answer = await self.send("GET", location)
        if status != 200 or not isinstance(answer, dict):
            raise Failed(f"status {status}")
        return answer


async def visitors(options: argparse.Namespace) -> dict[str, Any]:
    """Run the loop and sum it up."""
    measured = Measured()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=30)
    ) as http:
        known = [Visitor(http, options.base, Measured()) for _ in range(options.concurrency)]
        if options.check:
            for number, visitor in enumerate(known):
                await visitor.login(options.user.format(number % options.users), options.password)
        counted_from = time.perf_counter() + options.warmup
        ended = counted_from + options.seconds

        async def loop(number: int) -> None:
            turn, checking = number, known[number]
            while time.perf_counter() < ended:
                one = Measured()
                began = time.perf_counter()
                try:
                    if options.check:
                        status, _, _ = await checking.send("GET", ME)
                        if status != 200:
                            raise Failed(f"status {status}")
                    else:
                        await Visitor(http, options.base, one).login(options.user.format(turn % options.users), options.password)
                except (Failed, aiohttp.ClientError, TimeoutError) as failure:
                    text = f"{type(failure).__name__}: {failure}"[:200]
                    measured.errors[text] = measured.errors.get(text, 0) + 1
                    await asyncio.sleep(0.01)
                    continue
                turn += options.concurrency
                done = time.perf_counter()
                if counted_from <= done <= ended:
                    measured.logins.append(done - began)
                    measured.steps += one.steps

        print(json.dumps({"warm_at": time.time() + options.warmup}), flush=True)
        await asyncio.gather(*(loop(number) for number in range(options.concurrency)))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "count": len(measured.logins), "seconds": options.seconds, "logins": _quantiles(measured.logins), "steps": _quantiles(measured.steps),
        "errors": measured.errors, "driver_cpu_s": usage.ru_utime + usage.ru_stime,
    }  # fmt: skip


def _quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    if not ordered:
        return {}
    return {
        name: round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--base", required=True)
    p.add_argument("--user", default="bench{}", help="name of a user, {} is a number")
    p.add_argument("--users", type=int, default=200)
    p.add_argument("--password", default="bench-password")
    p.add_argument("--concurrency", type=int, default=1)
    p.add_argument("--seconds", type=float, default=10)
    p.add_argument("--warmup", type=float, default=3)
    p.add_argument("--check", action="store_true", help="measure users/me of somebody logged in")
    print(json.dumps(asyncio.run(visitors(p.parse_args()))), flush=True)


if __name__ == "__main__":
    main()
