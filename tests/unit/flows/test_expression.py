"""What an expression may be: authentik's own, and the rows of the corpus that are refused on saving (security 7.4)."""

import pytest
from pydantic import ValidationError

from shared.flows.expression import MAX_BYTES, BadExpression, check, names
from shared.flows.policy_types.expression import ExpressionConfig

PASSWORD_STAGE = """flow_plan = request.context.get("flow_plan")
if not flow_plan:
    return True
# If the user does not have a backend attached to it, they haven't
# been authenticated yet and we need the password stage
return not hasattr(flow_plan.context.get("pending_user"), "backend")
"""


@pytest.mark.parametrize(
    "source",
    [
        PASSWORD_STAGE,
        "return True",
        "return (\n    1 and\n    2\n)",
        'return "\u00fcml\u00e4ut" in request.user.name  # \u00fcml\u00e4ut',
        "import re\nreturn bool(re.match('a', 'b'))",
        "from datetime import datetime\nreturn datetime.now().hour < 8",
        "try:\n    return context['a']\nexcept KeyError:\n    return False",
        "def inner(x):\n    return x\nreturn inner(1)",
        "return any(g.name == 'x' for g in request.user.groups)",
        "x: dict = {}\nx['a'] = 1\nreturn not x",
        "pass",
    ],
)
def test_what_may_run(source: str) -> None:
    check(source)
    assert ExpressionConfig(expression=source).expression == source


@pytest.mark.parametrize(
    ("row", "source"),
    [
        ("P10", "return " + "(" * 1000 + "1" + ")" * 1000),
        ("P10", "return " + "not " * 1000 + "1"),
        ("P10", "return " + "+".join(["1"] * 1000)),
        ("P12", "return ().__class__.__mro__[1].__subclasses__()"),
        ("P14", "return (lambda: 0).__globals__"),
        ("P14", "return x.gi_frame.f_back"),
        ("P14", "return e.__traceback__.tb_frame"),
        ("P14", "return co.cr_frame"),
        ("P15", "try:\n    pass\nexcept* ValueError:\n    pass"),
        ("P17", "import os"),
        ("P17", "import os.path as re"),
        ("P17", '__import__("os")'),
        ("P17", "from json import *"),
        ("P17", "from . import x"),
        ("P17", "import importlib"),
        ("P18", 'eval("1")'),
        ("P18", 'exec("x=1")'),
        ("P18", "compile('1', '', 'eval')"),
        ("P18", 'open("/etc/passwd")'),
        ("P18", "input()"),
        ("P18", "breakpoint()"),
        ("P18", "e = eval\nreturn e('1')"),
        ("P19", "import time\ntime.sleep(10)"),
        ("P19", "import asyncio"),
        ("P21", "async def f():\n    pass"),
        ("P21", "await f()"),
        ("P22", "class X:\n    pass"),
        ("P28", 'requests.get("http://169.254.169.254")'),
        ("P30", 'ak_user_by(username="admin")'),
        ("P31", "return '\0'"),
        ("P31", "return '\u202e'"),
        ("P31", "return '\u200b'"),
        ("P31", "# \u2066"),
        ("P31", "return \u0430dmin"),
        ("P31", "return '\u2028'"),
        ("P31", "return 1\\"),
        ("P31", "if 1:\n\treturn 1\n        return 2"),
        ("P31", "return 1\r\n"),
        ("P31", "return 1\f"),
        ("P32", '\uff45\uff56\uff41\uff4c("1")'),
        ("P32", "return x.__\uff43lass__"),
        ("P33", "#" + "x" * MAX_BYTES),
        ("", "sluice_said = []"),
        ("", "global x"),
        ("", "yield 1"),
        ("", "return ("),
        ("", "  return 1\nreturn 2"),
        ("", "# nothing"),
        ("", ""),
        ("", "def f(sluice_x): pass"),
    ],
)
def test_what_may_not(row: str, source: str) -> None:
    with pytest.raises(BadExpression):
        check(source)
    with pytest.raises(ValidationError):
        ExpressionConfig(expression=source)


def test_a_syntax_error_is_told_in_authentiks_words_with_the_administrators_line() -> None:
    with pytest.raises(ValidationError) as refused:
        ExpressionConfig(expression="x = 1\nreturn = 2")
    assert refused.value.errors()[0]["msg"] == "Expression Syntax Error: invalid syntax (line 2)"


def test_names_are_what_the_expression_mentions() -> None:
    assert names(check(PASSWORD_STAGE)) == {"flow_plan", "request", "hasattr"}
