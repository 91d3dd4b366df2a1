"""What an expression may be: authentik's own, and what is refused on saving."""

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
        'return regex_match(request.user.name, "\\d+\\.")',  # a warning of Python's parser is none of ours
        "return 1or 2",
        'return "{0.username} {name:>{width}}".format(request.user, name="a", width=5)',
        'return "{{0.__class__}}".format(1)',
        'return f"\u00fc {request.user.name!r:>{1}} {{\u00fc}}"',
        "match request.user:\n    case object(username=name, email=_): return name\n    case {'a': a, **rest}: return rest\n    case [1, *more]: return more",
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
        ("P13", "match 1:\n    case object(__class__=c): return c"),
        ("P13", "match request:\n    case object(a=object(sluice_number=c)): return c"),
        ("P13", "match request:\n    case {**sluice_facts}: return 1"),
        ("P13", "match request:\n    case {'a': 1, **__x}: return 1"),
        ("P13", "match request:\n    case [*sluice_said]: return 1"),
        ("P13", "match request:\n    case sluice_said: return 1"),
        ("P13", "match request:\n    case 1 as eval: return 1"),
        ("P13", "match request:\n    case object(gi_frame=f): return f"),
        ("P13", 'return "{0.__class__}".format(request)'),
        ("P13", 'return "{x.user.__class__.__mro__}".format(x=request)'),
        ("P13", 'return "{0[__class__]}".format(request)'),
        ("P13", 'return "{0:{1.__class__}}".format(1, request)'),
        ("P13", 'return "{0.sluice_number}".format(ak_client_ip)'),
        ("P13", 'return "{0.gi_frame}".format(i for i in [1])'),
        ("P13", 'return ("{0." + "_" * 2 + "class" + "_" * 2 + "}").format(1)'),
        ("P13", 'text = "{0.x}"\nreturn text.format(1)'),
        ("P13", 'return f"{{0.{request.user.name}}}".format(1)'),
        ("P13", 'shape = "{0.__class__}".format\nreturn shape(1)'),
        ("P13", 'return map("{0.x}".format, [1])'),
        ("P13", 'return str.format("{0.__class__}", 1)'),
        ("P13", 'return "{a}".format_map({"a": 1})'),
        ("P13", 'return "{0".format(1)'),
        ("P10", f'return "{"{:" * 900}{"}" * 900}".format(1)'),
        ("P10", 'return "{:{:{}}}".format(1, 2, 3)'),
        ("P13", "return (lambda sluice_x=1: 1)()"),
        ("P13", "return (lambda **__x: 1)()"),
        ("P13", "return (lambda *eval: 1)()"),
        ("P13", "return [sluice_x := 1 for i in [1]]"),
        ("P13", "return [1 for __x in [1]]"),
        ("P13", "try:\n    pass\nexcept ValueError as sluice_e:\n    pass"),
        ("P13", "@sluice_policy\ndef f(): pass"),
        ("P13", "f(*sluice_said, **sluice_facts)"),
        ("P13", "f(__class__=1)"),
        ("P13", "for request.__class__ in [1]: pass"),
        ("P13", "x: request.__class__ = 1"),
        ("P13", "def f() -> eval: pass"),
        ("P13", 'return f"{request.__class__}"'),
        ("P13", 'return f"{1:{request.__class__}}"'),
        ("P14", "return x.f_builtins"),
        ("P14", "return x.co_consts"),
        ("P17", "import re as sluice_re"),
        ("P17", "from json import __dict__"),
        ("P17", "import json.decoder"),
        ("P31", 'return f"{\u0430dmin}"'),
        ("P31", 'return f"a{{{\u0430dmin}}}"'),
        ("P31", 'return f"{1:{\u0430dmin}}"'),
        ("P32", 'return f"{\uff45\uff56\uff41\uff4c(1)}"'),
        ("P32", "return x.\U0001d4b8lass"),
        ("", "del x"),
        ("", "nonlocal x"),
        ("", "type X = int"),
        ("", "def f[T](): pass"),
        ("", "return sluice_said"),
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
