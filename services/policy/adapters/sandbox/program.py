"""From an expression to the program that a worker runs: what it mentions of the scope, its body, and its result."""

from dataclasses import dataclass
from functools import lru_cache

from services.policy.adapters.sandbox.scope import ADDRESSES, CLIENT, INPUTS, PIECES
from shared.flows.expression import RESERVED, as_function, check, names

_ADDRESSED = frozenset({"ip_address", "ip_network", "ak_client_ip"})


@dataclass(frozen=True, slots=True)
class Program:
    """The text for a worker, and which facts it needs as inputs.

    Its value is a pair: whether what was returned is true, and the list of messages.
    """

    text: str
    inputs: frozenset[str]


@lru_cache(maxsize=1000)
def compiled(expression: str) -> Program:
    """The program of an expression; `BadExpression` if it may not run."""
    mentioned = names(check(expression))
    parameters = ", ".join(name for name in INPUTS if name in mentioned)
    parts = [f"{RESERVED}said = []\n"]
    if mentioned & _ADDRESSED:
        parts.append(ADDRESSES)
    parts += [piece for name, piece in PIECES.items() if name in mentioned]
    if "ak_client_ip" in mentioned:
        parts.append(f"ak_client_ip = {RESERVED}Address({CLIENT})\n")
    parts.append(as_function(expression, f"{RESERVED}policy({parameters})"))
    parts.append(f"{RESERVED}result = {RESERVED}policy({parameters})\n(bool({RESERVED}result), {RESERVED}said)\n")
    return Program("".join(parts), frozenset(mentioned & set(INPUTS)))
