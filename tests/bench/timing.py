"""Does the time of an answer tell who there is? `python -m tests.bench timing` asks as a stranger would, n names an arm.

Two questions, each in an installation of its own. *Known*: accounts drawn over a mix of hashes (ours, and two kinds from
elsewhere) against names that nobody has. *Disabled*: disabled accounts against such names where all hashes are ours. Each name
is tried once, the arms in random order; the answer to the name and the answer to the password are timed apart. Said is the area
under the ROC curve: 0.5 is a coin's, and with n = 1,000 chance alone stays within 0.475 and 0.525 nineteen times of twenty.

The hash hides small differences. So all is measured twice: as shipped, and with hashes that cost next to nothing.
"""

import argparse
import base64
import csv
import hashlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.bench import report
from tests.bench.targets import ARGON2, FREE, environment, hashed
from tests.e2e.sluice_process import SluiceUp

FLOW: Final = "/api/v3/flows/executor/default-authentication-flow/?query="
ARM: Final = 1000
WARM: Final = 100
PATIENCE_S: Final = 30.0
SHARES: Final = (6, 3, 1)
"""Of ten accounts so many have our hash, PBKDF2 of one cost, and of another."""
DOCUMENT: Final = Path("docs/performance.md")
BEGIN: Final = "<!-- timing: begin -->"
END: Final = "<!-- timing: end -->"
Cost = tuple[int, int, int]


@dataclass(frozen=True)
class Heard:
    """Seconds of the answers to a name and to the password after it."""

    name: float
    password: float


@dataclass(frozen=True)
class Told:
    """What one question came to: AUC of each answer, and the median seconds of each arm."""

    what: str
    hash: str
    n: int
    auc_name: float
    auc_password: float
    median_ms: tuple[float, float]

    def line(self) -> str:
        """One row of the table."""
        one, other = self.median_ms
        return f"| {self.what} | {self.hash} | {self.n} | {self.auc_name:.3f} | {self.auc_password:.3f} | {one:.2f} / {other:.2f} |"


HEAD: Final = "| accounts against names of nobody | hash | n an arm | AUC, answer to the name | AUC, to the password | median ms |\n| --- | --- | --- | --- | --- | --- |"


class Stranger:
    """Asks over one connection that is kept alive, each time as a browser that was never here."""

    def __init__(self, base: str) -> None:
        self._http = HTTPConnection(urlsplit(base).netloc, timeout=60)

    def ask(self, name: str) -> Heard:
        """Type a name, then a password that is wrong."""
        jar: dict[str, str] = {}
        self._send(jar, "GET", None)
        to_name = self._send(jar, "POST", {"component": "ak-stage-identification", "uid_field": name})
        return Heard(to_name, self._send(jar, "POST", {"component": "ak-stage-password", "password": "wrong-password"}))

    def _send(self, jar: dict[str, str], method: str, body: dict[str, Any] | None) -> float:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())} if jar else {}
        raw = None if body is None else json.dumps(body).encode()
        if raw is not None:
            headers["Content-Type"] = "application/json"
        began = time.perf_counter()
        self._http.request(method, FLOW, raw, headers)
        answer = self._http.getresponse()
        answer.read()
        took = time.perf_counter() - began
        for line in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = line.split(";", 1)[0].partition("=")
            jar[name] = value
        if answer.status not in (200, 302):
            raise SystemExit(f"{method}: status {answer.status}")
        return took


def auc(ones: Sequence[float], others: Sequence[float]) -> float:
    """How often one of the first took longer than one of the second, ties half: the area under the ROC curve."""
    ordered = sorted([(value, True) for value in ones] + [(value, False) for value in others])
    ranks, at = 0.0, 0
    while at < len(ordered):
        end = at
        while end < len(ordered) and ordered[end][0] == ordered[at][0]:
            end += 1
        ranks += sum(first for _, first in ordered[at:end]) * (at + end + 1) / 2
        at = end
    return (ranks - len(ones) * (len(ones) + 1) / 2) / (len(ones) * len(others))


def median(values: Sequence[float]) -> float:
    """The middle one, in ms."""
    return 1000 * sorted(values)[len(values) // 2]


@contextmanager
def installation(cost: Cost) -> Iterator[SluiceUp]:
    """`sluice up` in a folder of its own, where an address may guess without end."""
    with tempfile.TemporaryDirectory(prefix="sluice-timing") as folder, SluiceUp(Path(folder) / "data", environment(cost)) as up:
        yield up


def import_mixed(up: SluiceUp, cost: Cost, count: int) -> None:
    """So many accounts, whose hashes are of three kinds in the `SHARES`."""
    free = cost == FREE
    hashes = (hashed(cost), django("sha256", 1000 if free else 390_000), django("sha1", 500 if free else 150_000))
    dealt = [text for text, share in zip(hashes, SHARES, strict=True) for _ in range(share)]
    path = up.data.parent / "users.csv"
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("username", "email", "name", "password"))
        writer.writerows((known(n), f"{known(n)}@example.com", f"Person {n}", dealt[n % len(dealt)]) for n in range(count))
    up.command("users", "import", str(path))


def make_disabled(up: SluiceUp, count: int) -> None:
    """So many disabled accounts with a password of ours."""
    http = HTTPConnection(urlsplit(up.base_url).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {up.token}", "Content-Type": "application/json"}

    def post(path: str, body: dict[str, Any], wanted: int) -> bytes:
        deadline = time.monotonic() + PATIENCE_S  # the token comes through the log
        while True:
            http.request("POST", f"/api/v3/core/users/{path}", json.dumps(body).encode(), headers)
            answer = http.getresponse()
            raw = answer.read()
            if answer.status == wanted:
                return raw
            if time.monotonic() > deadline:
                raise SystemExit(f"POST {path}: {answer.status} {raw[:200]!r}")
            time.sleep(0.1)

    for n in range(count):
        made = json.loads(post("", {"username": known(n), "name": "", "email": f"{known(n)}@example.com", "is_active": False}, 201))
        post(f"{made['pk']}/set_password/", {"password": "bench-password"}, 204)


def compared(up: SluiceUp, what: str, kind: str, count: int, seed: int) -> Told:
    """Ask for so many accounts and as many names that nobody has, each once, in random order."""
    stranger, order = Stranger(up.base_url), random.Random(seed)
    for n in range(WARM):
        stranger.ask(f"warmup-{n:06d}")
    names = [(known(n), True) for n in range(count)] + [(f"nobody-{n:06d}", False) for n in range(count)]
    order.shuffle(names)
    heard: dict[bool, list[Heard]] = {True: [], False: []}
    for name, there in names:
        heard[there].append(stranger.ask(name))
    ours, nobodys = heard[True], heard[False]
    return Told(
        what, kind, count, auc([h.name for h in ours], [h.name for h in nobodys]), auc([h.password for h in ours], [h.password for h in nobodys]),
        (median([h.password for h in ours]), median([h.password for h in nobodys])),
    )  # fmt: skip


def measured(kinds: Sequence[str], count: int, seed: int) -> Iterator[Told]:
    """Both questions, for each cost of a hash."""
    for kind in kinds:
        cost = ARGON2 if kind == "as shipped" else FREE
        with installation(cost) as up:
            import_mixed(up, cost, count)
            yield compared(up, "over the mix", kind, count, seed)
        with installation(cost) as up:
            make_disabled(up, count)
            yield compared(up, "disabled, one kind", kind, count, seed)


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(prog="python -m tests.bench timing", description=__doc__.split("\n", 1)[0])
    p.add_argument("--n", type=int, default=ARM, help="names an arm")
    p.add_argument("--hash", choices=("as shipped", "nearly free"), help="only with this one")
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = p.parse_args(arguments)
    lines = [HEAD]
    print(HEAD, flush=True)
    for told in measured([options.hash] if options.hash else ["nearly free", "as shipped"], options.n, options.seed):
        lines.append(told.line())
        print(lines[-1], flush=True)
    if options.write:
        report.put(DOCUMENT, BEGIN, END, "\n".join([BEGIN, *lines, END]))


def known(number: int) -> str:
    """The name of an account; of the length of those that nobody has."""
    return f"person-{number:06d}"


def django(digest: str, iterations: int) -> str:
    """A hash as Django makes it."""
    raw = hashlib.pbkdf2_hmac(digest, b"bench-password", b"0123456789abcdef", iterations)
    return f"pbkdf2_{digest}${iterations}$0123456789abcdef${base64.b64encode(raw).decode()}"


if __name__ == "__main__":
    main(sys.argv[1:])
