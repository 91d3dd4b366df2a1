"""`sluice topics acls`: who may do what on the brokers, as the brokers' own commands.

Made from the table of writers (`shared.contracts.writers`), so that what a broker allows is what a record's proof would be
believed for. Write and Read imply Describe; an idempotent producer needs no right on the cluster where it may write a topic.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from shared.contracts.writers import GROUPS, SERVICES, WRITERS, Service
from shared.kernel.errors import SluiceError
from shared.runtime.settings import CommonSettings
from sluice.configuration import read
from sluice.console import say

COMMAND: Final = "kafka-acls.sh"
BROKERS: Final = "BROKERS"
"""Stands where the brokers' address belongs if no setting says it."""


class NoPrincipal(SluiceError):
    """What was given does not say who a service is to the brokers."""

    code = "E_PRINCIPAL"


def acls(named: Iterable[str], readers: Iterable[str], command_config: str | None) -> None:
    """Print the matrix as comments, and the commands that bring it about on brokers that deny everything else."""
    principals = principals_of(named)
    for line in matrix():
        say(f"# {line}".rstrip())
    connection = ["--bootstrap-server", read(CommonSettings).kafka or BROKERS]
    connection += ["--command-config", command_config] if command_config else []
    for arguments in commands(principals, list(readers)):
        say(shlex.join([COMMAND, *connection, *arguments]))


def principals_of(named: Iterable[str]) -> Mapping[Service, str]:
    """Who each service is to the brokers: `User:` and its name, unless `named` (`SERVICE=TYPE:NAME`) says otherwise."""
    found: dict[Service, str] = {service: f"User:{service}" for service in SERVICES}
    for one in named:
        service, _, principal = one.partition("=")
        if service not in SERVICES or not all(principal.partition(":")):
            raise NoPrincipal(f"{one}: wanted is SERVICE=User:NAME with one of {', '.join(SERVICES)}")
        found[service] = principal
    return found


def matrix() -> Iterator[str]:
    """The rights by topic: W writes, R reads, - neither; below them the groups."""
    yield f"{'':20} {' '.join(f'{service:9}' for service in SERVICES)}"
    for topic, rule in WRITERS.items():
        cells = (f"{'W' * (one in rule.services)}{'R' * (one in rule.readers)}" or "-" for one in SERVICES)
        yield f"{topic:20} {' '.join(f'{cell:9}' for cell in cells)}"
    groups = ("".join(GROUPS.get(one, ())) or "-" for one in SERVICES)
    yield f"{'(group)':20} {' '.join(f'{group:9}' for group in groups)}"


def commands(principals: Mapping[Service, str], readers: Iterable[str]) -> Iterator[list[str]]:
    """The arguments of each command; `readers` (a SIEM, an auditor) may read every topic, in no group of ours."""
    for service in SERVICES:
        writes = [topic for topic, rule in WRITERS.items() if service in rule.services]
        reads = [topic for topic, rule in WRITERS.items() if service in rule.readers]
        yield _allowed(principals[service], "Write", "--topic", writes)
        yield _allowed(principals[service], "Read", "--topic", reads)
        if service in GROUPS:
            yield _allowed(principals[service], "Read", "--group", GROUPS[service])
    for reader in readers:
        yield _allowed(reader, "Read", "--topic", WRITERS)


def _allowed(principal: str, operation: str, kind: str, names: Iterable[str]) -> list[str]:
    return ["--add", "--allow-principal", principal, "--operation", operation, *(word for name in names for word in (kind, name))]
