"""Names that no expression may reach, and every place in which one can be spelt.

A name that is refused as `x.name` has to be refused as a keyword, in a pattern, in a format text and to `getattr` too,
or the refusal is a riddle and no rule.
"""

import ast
import re
import string
from collections.abc import Iterator
from typing import Final

RESERVED: Final = "sluice_"
"""Names that the sandbox uses for itself begin so."""
NOT_HERE: Final = frozenset(
    {
        *("ak_user_by", "ak_user_has_authenticator", "ak_call_policy", "ak_create_event", "ak_create_jwt", "ak_create_jwt_raw"),
        *("ak_send_email", "resolve_dns", "reverse_dns", "requests"),
    }
)
"""Names of authentik's scope that reach beyond the facts of a request."""
FORMATTERS: Final = frozenset({"format", "format_map"})
"""Methods that read attributes by a name in a text: on a text that stands there, which can be looked at, and nowhere else."""
INNER: Final = frozenset(
    {
        *("gi_frame", "gi_code", "gi_yieldfrom", "cr_frame", "cr_code", "cr_await", "cr_origin", "ag_frame", "ag_code", "ag_await"),
        *("f_back", "f_builtins", "f_code", "f_globals", "f_locals", "f_trace", "tb_frame", "tb_next"),
        *("co_code", "co_consts", "co_names", "func_code", "func_globals"),
    }
)
"""Attributes that lead from a value into the interpreter."""
_NEVER: Final = frozenset({"eval", "exec", "compile", "open", "input", "breakpoint", "globals", "locals", "vars", "setattr", "delattr"})


def refusal(name: str) -> str | None:
    """Why no expression may spell this name; None if it may."""
    if name in NOT_HERE:
        return "is not available in expressions here"
    if name in _NEVER or name in INNER or name.startswith((RESERVED, "__")):
        return "cannot be used in an expression"
    return None


def spelt(node: ast.AST) -> Iterator[str]:
    """The names that this node itself spells, those of its children left out."""
    match node:
        case ast.Name(id=name) | ast.FunctionDef(name=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
            yield name
        case ast.keyword(arg=str(name)) | ast.ExceptHandler(name=str(name)):
            yield name
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name
        case ast.MatchClass(kwd_attrs=attributes):
            yield from attributes
        case ast.alias(name=name, asname=other):
            yield from (*name.split("."), other or name)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            yield from _fields(text)
        case _:
            return


def read_by_pattern(node: ast.AST) -> tuple[str, ...]:
    """The attributes that a pattern of `match` reads."""
    return tuple(node.kwd_attrs) if isinstance(node, ast.MatchClass) else ()


def loose_formatter(nodes: list[ast.AST]) -> ast.Attribute | None:
    """The first use of a formatter but `"...".format(...)`: its text may be put together when it runs."""
    called = (node.func for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    looked_at = {id(func) for func in called if func.attr == "format" and _is_text(func.value)}
    loose = (node for node in nodes if isinstance(node, ast.Attribute) and node.attr in FORMATTERS and id(node) not in looked_at)
    return next(loose, None)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _fields(text: str, depth: int = 2) -> Iterator[str]:
    """All that the fields of a format text name, those inside of its format specifications too; `ValueError` if it is none.

    Specifications have fields, these have none with specifications of their own: so Python, and so any depth ends here.
    """
    for _, field, specification, _ in string.Formatter().parse(text):
        if depth == 0:
            if field is not None:
                raise ValueError("format fields nested too deeply")
            continue
        yield from (word for word in re.split(r"[.\[\]]", field or "") if word)
        if specification:
            yield from _fields(specification, depth - 1)
