"""What an expression may be: the text of a policy, checked when it is saved and again when it is loaded.

An expression is the body of a function (docs/compat.md, Expressions). The sandbox holds whatever gets there; this check tells
an administrator early, in words, what would not work there, and keeps out texts that read differently from what they
do.
"""

import ast
import io
import textwrap
import tokenize
import unicodedata
import warnings
from typing import Final

from shared.flows.expression_names import RESERVED, loose_formatter, refusal, spelt

MAX_BYTES: Final = 4096
MAX_NODES: Final = 500
MODULES: Final = frozenset({"datetime", "json", "math", "re"})
_STATEMENTS: Final[tuple[type[ast.AST], ...]] = (
    *(ast.ClassDef, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await),
    *(ast.Yield, ast.YieldFrom, ast.Global, ast.Nonlocal, ast.TryStar, ast.With, ast.Delete),
)
_UNCOUNTED: Final = (ast.expr_context, ast.operator, ast.boolop, ast.cmpop, ast.unaryop)


class BadExpression(ValueError):
    """An expression that is refused; the text is for the administrator who wrote it."""


def check(source: str) -> ast.FunctionDef:
    """The expression as a function, if it is one that the sandbox may get; `BadExpression` with the reason if not."""
    _check_text(source)
    function = _parsed(source)
    nodes = [node for node in ast.walk(function) if not isinstance(node, _UNCOUNTED)]
    if len(nodes) > MAX_NODES:
        raise BadExpression(f"The expression is too large: {len(nodes)} parts, at most {MAX_NODES} are allowed.")
    for node in nodes:
        _check_node(node)
    if (loose := loose_formatter(nodes)) is not None:
        raise BadExpression(f'`{loose.attr}` can only be used as "...".format(...), on a text that stands there (line {_line(loose)}).')
    return function


def as_function(source: str, signature: str) -> str:
    """The expression as the body of a function, indented as authentik does it (texts over several lines included)."""
    return f"def {signature}:\n{textwrap.indent(source, '    ')}\n"


def names(function: ast.FunctionDef) -> frozenset[str]:
    """All plain names that the expression mentions."""
    return frozenset(node.id for node in ast.walk(function) if isinstance(node, ast.Name))


def _check_text(source: str) -> None:
    if len(source.encode(errors="replace")) > MAX_BYTES:
        raise BadExpression(f"The expression is too long: at most {MAX_BYTES} bytes are allowed.")
    for character in source:
        # Cc controls, Cf format (bidi, zero width), Cs surrogates, Zl/Zp line breaks that Python does not see as such
        if character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            raise BadExpression(f"The character U+{ord(character):04X} is not allowed in an expression.")


def _parsed(source: str) -> ast.FunctionDef:
    wrapped = as_function(source, f"{RESERVED}policy()")
    try:
        for token in tokenize.generate_tokens(io.StringIO(wrapped).readline):
            if not _code(token).isascii():
                raise BadExpression(f"Expression Syntax Error: only ASCII outside of texts and comments (line {token.start[0] - 1})")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of "\\d" and "1or 2": what runs is not this interpreter
            body = ast.parse(wrapped).body
    except (SyntaxError, tokenize.TokenError, RecursionError, MemoryError, ValueError) as failure:
        if isinstance(failure, BadExpression):
            raise
        raise BadExpression(f"Expression Syntax Error: {_reason(failure)}") from None
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef):
        raise BadExpression("Expression Syntax Error: not the body of one function")
    return body[0]


def _code(token: tokenize.TokenInfo) -> str:
    """What of a token is code: of a text what stands in braces, if it is a formatted one, of a comment nothing."""
    if token.type == tokenize.COMMENT:
        return ""
    if token.type != tokenize.STRING:
        return token.string
    prefix = token.string.partition(token.string[-1])[0]
    return _in_braces(token.string) if "f" in prefix.lower() else ""


def _in_braces(text: str) -> str:
    found, depth = "", 0
    for character in text.replace("{{", "").replace("}}", "} }"):
        depth += {"{": 1, "}": -1}.get(character, 0)
        found += character if depth > 0 else ""
    return found


def _reason(failure: Exception) -> str:
    if isinstance(failure, SyntaxError):
        return f"{failure.msg} (line {max((failure.lineno or 2) - 1, 1)})"
    if isinstance(failure, RecursionError | MemoryError):
        return "nested too deeply"
    return str(failure.args[0]) if failure.args else "cannot be read"


def _check_node(node: ast.AST) -> None:
    line = _line(node)
    if isinstance(node, _STATEMENTS):
        raise BadExpression(f"`{_word(node)}` cannot be used in an expression (line {line}).")
    if isinstance(node, ast.Import | ast.ImportFrom):
        _check_import(node, line)
    for name in _spelt(node):
        if (reason := refusal(name)) and not _is_ours(node, name):
            raise BadExpression(f"`{name}` {reason} (line {line}).")


def _spelt(node: ast.AST) -> tuple[str, ...]:
    try:
        return tuple(spelt(node))
    except ValueError as failure:
        raise BadExpression(f"Expression Syntax Error: {failure} (line {_line(node)})") from None


def _line(node: ast.AST) -> int:
    return max(getattr(node, "lineno", 2) - 1, 1)


def _is_ours(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.FunctionDef) and name == f"{RESERVED}policy" and node.lineno == 1


def _check_import(node: ast.Import | ast.ImportFrom, line: int) -> None:
    modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or "."]
    for module in modules:
        if module not in MODULES:
            raise BadExpression(f"`{module}` cannot be imported (line {line}); what can: {', '.join(sorted(MODULES))}.")
    if any(alias.name == "*" for alias in node.names):
        raise BadExpression(f"`*` cannot be imported (line {line}).")


def _word(node: ast.AST) -> str:
    words = {"ClassDef": "class", "YieldFrom": "yield from", "TryStar": "except*", "With": "with", "Delete": "del"}
    kind = type(node).__name__
    return words.get(kind, kind.removeprefix("Async").removesuffix("FunctionDef").lower() or "async def")
