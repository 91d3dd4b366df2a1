"""Expressions in real workers: what authentik's scope gives them, and that no bomb gets further than its worker.

Those that are refused on saving are in tests/unit/flows.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.policy.adapters.sandbox import second_wall
from services.policy.adapters.sandbox.program import compiled
from services.policy.adapters.sandbox.scope import OUTPUT_BYTES
from services.policy.adapters.sandbox.second_wall import NoSandbox
from services.policy.adapters.sandbox.workers import Limits, Workers
from services.policy.application.ports import Moment
from shared.contracts.people import GroupFacts, UserFacts, Visitor
from shared.contracts.policy import Facts
from shared.flows.policy import Decision, PolicyError
from tests.unit.flows.stories import ALICE
from tests.unit.flows.test_expression import PASSWORD_STAGE

MOMENT = Moment(1_700_000_000_000_000, "request-1/b-1")
STAFF = ALICE.model_copy(update={"groups": (GroupFacts(pk="g-1", name="staff"),), "attributes": {"tags": ("a", "b")}})


def facts(user: UserFacts | None = STAFF, address: str = "10.1.2.3", planned: bool = True, **context: Any) -> Facts:
    visitor = Visitor(address=address, user_agent="curl/8", host="login.example")
    return Facts(visitor=visitor, pending_user=user, context=context, planned=planned)


async def outcome(workers: Workers, expression: str, given: Facts | None = None, seconds: float = 60.0) -> Decision | str:
    """The decision, or the reason why there is none."""
    try:
        return await workers.evaluate(expression, facts() if given is None else given, MOMENT, seconds)
    except PolicyError as error:
        return error.reason


@pytest.mark.parametrize(
    ("given", "passing"),
    [
        (facts(), True),
        (facts(STAFF.model_copy(update={"backend": "authentik.core.auth.InbuiltBackend"})), False),
        (facts(None), True),
        (facts(planned=False), True),
    ],
)
async def test_the_default_flow_asks_for_a_password_only_until_it_was_given(workers: Workers, given: Facts, passing: bool) -> None:
    assert await outcome(workers, PASSWORD_STAGE, given) == Decision(passing)


@pytest.mark.parametrize(
    "expression",
    [
        'return request.user.username == "alice" and request.user.is_authenticated and not request.user.is_anonymous',
        'return request.context["pending_user"] == request.user and str(request.user) == "alice"',
        'return context["flow_plan"].context["pending_user"].email == "alice@example.com"',
        'context = context or {}\nreturn "pending_user" in context',
        'return request.user.attributes.get("tags") == ["a", "b"]',
        'return http_request.META["REMOTE_ADDR"] == "10.1.2.3" and request.http_request.user.is_anonymous',
        "return request.obj is None and request.debug is False",
        'return ak_client_ip in ip_network("10.0.0.0/8") and ak_client_ip.is_private',
        'return ak_client_ip == ip_address("10.1.2.3") and str(ak_client_ip) == "10.1.2.3" and ak_client_ip.version == 4',
        'return ip_address("2001:db8::1") in ip_network("2001:db8::/32") and ak_client_ip not in ip_network("2001:db8::/32")',
        "return not ak_is_sso_flow",
        'return ak_is_group_member(request.user, name="staff") and not ak_is_group_member(request.user, name="admins")',
        'return [g.name for g in request.user.groups] == ["staff"]',
        'return regex_match("a-b", "-") and not regex_match("ab", "-") and regex_replace("a-b", "-", "+") == "a+b"',
        'return list_flatten([1, 2]) == 1 and list_flatten([]) is None and list_flatten("x") == "x"',
        'return slugify("  \u00dcber Stra\u00dfe_1! ") == "uber-strae_1"',
        'ak_logger.info("hello", user=request.user.username)\nreturn True',
        "import datetime\nreturn datetime.datetime.now().year == 2023",
        'import json\nreturn json.loads("[1]") == [1]',
        'return getattr(request.user, "nothing", 5) == 5 and getattr(request, "user").pk == 7',
        'name = "user" + "name"\nreturn getattr(request.user, name) == "alice"',
        'return hasattr(request.user, "back" + "end") is False',
        'return "{0.username}".format(request.user) == "alice"',
        'match request.user:\n    case object(email=address): return address == "alice@example.com"',
        'print("to nobody", 1, sep="-", end="")\nreturn True',
    ],
)
async def test_what_an_expression_finds_around_it(workers: Workers, expression: str) -> None:
    assert await outcome(workers, expression) == Decision(True)


async def test_messages_come_with_either_answer_and_in_order(workers: Workers) -> None:
    assert await outcome(workers, 'ak_message("one")\nak_message(2)\nreturn False') == Decision(False, ("one", "2"))
    assert await outcome(workers, 'ak_message("a\\0b")\nreturn True') == Decision(True, ("a\ufffdb",))


@pytest.mark.parametrize(
    ("returned", "passing"),
    [
        ("1", True),
        ('"yes"', True),
        ("[0]", True),
        ('float("nan")', True),
        ("request.user", True),
        ("0", False),
        ('""', False),
        ("[]", False),
        ("None", False),
        ("", False),
    ],
)
async def test_what_is_returned_counts_by_its_truth_as_in_authentik(workers: Workers, returned: str, passing: bool) -> None:
    assert await outcome(workers, f"return {returned}") == Decision(passing)


BOMBS = [
    ("while True: pass", {"timeout"}),
    ("for i in range(10**12): pass", {"timeout"}),
    ("sum(range(10**12))", {"timeout"}),
    ("for i in range(10**4):\n    for j in range(10**5): pass", {"timeout"}),
    ('"a" * 10**10', {"memory"}),
    ("[0] * 10**10", {"memory"}),
    ("bytes(10**10)", {"memory"}),
    ('x = "a"\nfor i in range(60): x += x', {"memory"}),
    ("d = {}\nfor i in range(10**9): d[i] = [i]", {"memory", "timeout"}),
    ("10 ** 10 ** 8", {"memory", "timeout"}),
    ("1 << 10**10", {"memory"}),
    ('int("9" * 10**6)', {"exception", "timeout"}),
    ('f"{1:1000000000}"', {"memory", "timeout"}),
    ('"%1000000000d" % 1', {"memory", "timeout"}),
    ('"{:>1000000000}".format(1)', {"memory", "timeout"}),
    ('("x" * 10**6).replace("x", "y" * 10**6)', {"memory", "timeout"}),
    ('"x".zfill(10**10)', {"memory"}),
    ('"x".ljust(10**10)', {"memory"}),
    ("def f():\n    return f()\nf()", {"exception"}),
    ("def f():\n    return g()\ndef g():\n    return f()\nf()", {"exception"}),
    ('return getattr(request, "__cl" + "ass__")', {"exception"}),
    ('return "{0.__class__}".format(1)', {"syntax"}),
    ('return getattr(ak_client_ip, "slu" + "ice_number")', {"exception"}),
    ('return getattr("{0.__class__}", "for" + "mat")(1)', {"exception"}),
    ('return getattr((i for i in [1]), "gi_" + "frame")', {"exception"}),
    ("try:\n    while True: pass\nexcept BaseException:\n    return True", {"timeout"}),
    ("try:\n    pass\nfinally:\n    while True: pass", {"timeout"}),
    ("raise SystemExit", {"exception"}),
    ("raise KeyboardInterrupt", {"exception"}),
    ("raise StopIteration", {"exception"}),
    ('while True:\n    print("x" * 10**6)', {"output"}),
    ("while True:\n    print()", {"output"}),
    ("list(map(print, range(10**6)))", {"output"}),
    ('try:\n    print("x" * 10**6)\nexcept BaseException:\n    return True', {"output"}),
    ('while True:\n    try:\n        print("x" * 10**6)\n    except BaseException: pass', {"timeout"}),
    ('while True: ak_message("")', {"output"}),
    (f'ak_message("x" * {OUTPUT_BYTES + 1})', {"output"}),
    ('for i in range(200):\n    try: ak_message("x")\n    except MemoryError: pass\nreturn True', {"output"}),
    ("for i in range(1000): ak_message(i)", {"output"}),
    ('for i in range(100): ip_address("10.0.0.1")', {"exception"}),
    ("return unknown", {"exception"}),
    ('return context["x"]', {"exception"}),
    ("return None.attr", {"exception"}),
    ("return 1 / 0", {"exception"}),
    ('return ip_address("not an address")', {"exception"}),
    ("return request.http_request.COOKIES", {"exception"}),
    ("return request.user.password", {"exception"}),
]


@pytest.mark.parametrize(("expression", "reasons"), BOMBS, ids=[repr(text[:30]) for text, _ in BOMBS])
async def test_a_bomb_is_an_error_and_the_next_question_is_answered(workers: Workers, expression: str, reasons: set[str]) -> None:
    assert await outcome(workers, expression, seconds=0.4 if "timeout" in reasons else 60.0) in reasons
    assert await outcome(workers, "return True") == Decision(True)


async def test_a_catastrophic_expression_of_the_other_kind_ends(workers: Workers) -> None:
    bomb = 'return regex_match("a" * 10000 + "b", "(a+)+$")'
    assert await outcome(workers, bomb, seconds=0.4) in ("timeout", Decision(False))


@pytest.mark.parametrize(
    "expression", ["context.clear()", 'request.user.username = "root"', 'request.context["pending_user"].is_superuser = True']
)
async def test_changing_the_facts_changes_nothing_outside(workers: Workers, expression: str) -> None:
    given = facts()
    before = given.model_copy(deep=True)
    assert await outcome(workers, f"{expression}\nreturn True", given) == Decision(True)
    assert given == before


async def test_the_same_question_draws_the_same(workers: Workers) -> None:
    expression = "import datetime\nak_message(datetime.datetime.now())\nreturn True"
    first = await outcome(workers, expression)
    assert isinstance(first, Decision)
    assert first.messages == ("2023-11-14 22:13:20",)
    assert await outcome(workers, expression) == first


async def test_an_address_that_is_none_is_an_error_only_where_it_matters(workers: Workers) -> None:
    given = facts(address="x, 10.0.0.1")
    assert await outcome(workers, "return ak_client_ip.is_private", given) == "exception"
    assert await outcome(workers, "return True", given) == Decision(True)


async def test_a_huge_context_never_reaches_a_worker(workers: Workers) -> None:
    assert await outcome(workers, "return True", facts(blob="x" * 70_000)) == "memory"


async def test_nothing_is_carried_from_one_expression_to_the_next(workers: Workers) -> None:
    assert await outcome(workers, "import json\njson.marker = 1\nreturn True") in (Decision(True), "exception")
    assert await outcome(workers, 'import json\nreturn hasattr(json, "marker")') == Decision(False)


async def test_no_file_can_be_read_by_any_way_that_is_left(workers: Workers, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    program = compiled("return True")
    assert "open" not in program.text
    assert await outcome(workers, f"import json\nreturn json.load({str(secret)!r})") == "exception"


async def test_a_worker_that_dies_is_an_error_and_is_replaced(workers: Workers) -> None:
    (worker,) = _processes()
    before = worker.cpu_times().user
    asking = asyncio.create_task(outcome(workers, "while True: pass"))
    async with asyncio.timeout(30):
        while worker.cpu_times().user < before + 0.05:  # noqa: ASYNC110 -- until it is at work
            await asyncio.sleep(0.01)
    os.kill(worker.pid, signal.SIGKILL)
    assert await asking == "crash"
    assert await outcome(workers, "return True") == Decision(True)
    assert [process.pid for process in _processes()] != [worker.pid]


async def test_a_worker_that_died_unasked_costs_no_more_than_its_answer(workers: Workers) -> None:
    (worker,) = _processes()
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(60)
    assert await outcome(workers, "return True") in (Decision(True), "crash")
    assert await outcome(workers, "return True") == Decision(True)


async def test_a_stopped_worker_is_killed_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.policy.adapters.sandbox.workers.STARVED_S", 2.0)
    workers = Workers(1, Limits(seconds=3.0))
    await workers.start()
    try:
        (worker,) = _processes()
        os.kill(worker.pid, signal.SIGSTOP)
        async with asyncio.timeout(30):
            while worker.status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110 -- its second thread works on for a moment
                await asyncio.sleep(0.01)
        assert await outcome(workers, "return True") == "timeout"
        assert await outcome(workers, "return True") == Decision(True)
    finally:
        await workers.stop()


async def test_bombs_of_one_do_not_lose_the_questions_of_others() -> None:
    workers = Workers(2, Limits(seconds=60.0))
    await workers.start()
    try:
        bombs = [asyncio.create_task(outcome(workers, "while True: pass", seconds=0.05)) for _ in range(10)]
        others = [asyncio.create_task(outcome(workers, "return True")) for _ in range(10)]
        assert set(await asyncio.gather(*bombs)) == {"timeout"}
        assert await asyncio.gather(*others) == [Decision(True)] * 10
    finally:
        await workers.stop()


async def test_after_the_end_no_process_is_left_and_no_question_hangs() -> None:
    workers = Workers(2, Limits())
    await workers.start()
    assert len(_processes()) == 2
    await workers.stop()
    assert not workers.ready
    assert _processes() == []


@pytest.mark.parametrize("script", ["exit 3", "exec /no/such/program"])
async def test_workers_that_do_not_work_behind_their_walls_refuse_the_start(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "sluice-sandbox"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    monkeypatch.setattr(second_wall, "checked", lambda: program)
    workers = Workers(1, Limits(seconds=1.0))
    with pytest.raises(NoSandbox, match="behind their walls"):
        await workers.start()
    assert not workers.ready


class _Panic(BaseException):
    """What a panic of the library's own code looks like: no `Exception`."""


async def test_a_panic_of_the_library_costs_its_verdict_alone(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*_: object, **__: object) -> None:
        raise _Panic

    with monkeypatch.context() as spoilt:
        spoilt.setattr(workers, "_resources", panic)
        assert await outcome(workers, "return unknown()") == "crash"
    assert await outcome(workers, "return True") == Decision(True)


def _processes() -> list[psutil.Process]:
    """The live sandbox processes of this one."""
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE and child.cmdline()[:1] == ["monty"]]
