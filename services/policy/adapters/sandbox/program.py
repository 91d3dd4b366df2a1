"""From an expression to the program that a worker runs: what it mentions of the scope, its body, and its result.

What an expression cannot read is not made for it: building every object takes four times as long as the default flow's
expression itself.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from services.policy.adapters.sandbox.scope import ADDRESSES, CLIENT, CONTEXT, HTTP_REQUEST, PARAMETERS, PIECES, REQUEST, SAID
from shared.flows.expression import as_function, check, names
from shared.flows.expression_names import RESERVED, read_by_pattern

_ADDRESSED = frozenset({"ip_address", "ip_network", "ak_client_ip"})
_OBJECTS = frozenset({"request", "context", "http_request"})


@dataclass(frozen=True, slots=True)
class Program:
    """The text for a worker, and what it needs of the facts: as objects, with which attributes (None: all), the address.

    Its value is a pair: whether what was returned is true, and the list of messages.
    """

    text: str
    wants_facts: bool = False
    wants_address: bool = False
    attributes: frozenset[str] | None = None

    def reads(self, attribute: str) -> bool:
        """Whether the expression may read an attribute of this name."""
        return self.attributes is None or attribute in self.attributes


@lru_cache(maxsize=1000)
def compiled(expression: str) -> Program:
    """The program of an expression; `BadExpression` if it may not run."""
    function = check(expression)
    mentioned = names(function)
    attributes = _attributes(function, mentioned)
    wants_facts, wants_address = bool(mentioned & _OBJECTS), "ak_client_ip" in mentioned
    parameters = ", ".join(name for name in PARAMETERS if name in mentioned)
    parts = [SAID]
    parts += _objects(mentioned, attributes) if wants_facts else []
    parts += [ADDRESSES] if mentioned & _ADDRESSED else []
    parts += [f"ak_client_ip = {RESERVED}Address({CLIENT})\n"] if wants_address else []
    parts += [piece for name, piece in PIECES.items() if name in mentioned]
    parts.append(as_function(expression, f"{RESERVED}policy({parameters})"))
    parts.append(f"{RESERVED}result = {RESERVED}policy({parameters})\n(bool({RESERVED}result), {RESERVED}said)\n")
    return Program("".join(parts), wants_facts, wants_address, attributes)


def _objects(mentioned: frozenset[str], attributes: frozenset[str] | None) -> list[str]:
    read = [name for name in REQUEST if attributes is None or name in attributes]
    parts = [CONTEXT]
    parts += [HTTP_REQUEST] if "http_request" in mentioned or "http_request" in read else []
    fields = ", ".join(f'"{name}": {REQUEST[name]}' for name in read)
    parts += [f"request = {RESERVED}Object({{{fields}}})\n"] if "request" in mentioned else []
    return parts


def _attributes(function: ast.FunctionDef, mentioned: frozenset[str]) -> frozenset[str] | None:
    """The attributes that the expression can read, None if one cannot tell.

    One cannot tell if `getattr` or `hasattr` is used in any way but `getattr(x, "name")`. Words in texts count, as
    `"{0.name}".format(x)` reads an attribute too.
    """
    nodes = list(ast.walk(function))
    by_name = sum(1 for node in nodes if isinstance(node, ast.Call) and _reads_by_name(node))
    if by_name != sum(1 for node in nodes if isinstance(node, ast.Name) and node.id in ("getattr", "hasattr")):
        return None
    found = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    found.update(name for node in nodes for name in read_by_pattern(node))
    found.update(word for text in _texts(nodes) for word in re.findall(r"\w+", text))
    if "ak_is_group_member" in mentioned:
        found |= {"groups"}
    return frozenset(found)


def _reads_by_name(call: ast.Call) -> bool:
    match call:
        case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(value=str()), *_]):
            return True
        case _:
            return False


def _texts(nodes: list[ast.AST]) -> Iterator[str]:
    return (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
