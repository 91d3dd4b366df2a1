"""`sluice topics`: the topics on a real broker."""

import asyncio

import typer

from shared.contracts.topics import TOPICS
from shared.kernel.variables import Misconfigured, variable
from shared.messaging.kafka.brokers import Brokers
from shared.runtime.settings import CommonSettings
from sluice.configuration import read
from sluice.console import say


def create(replication: int) -> None:
    """Make what is missing and tell what was done for each topic."""
    from shared.messaging.kafka.admin import create_topics

    for name, outcome in sorted(asyncio.run(create_topics(_brokers(), TOPICS.values(), replication)).items()):
        say(f"{name:24} {outcome}")


def describe(replication: int) -> None:
    """Print the settings on the brokers; exit code 1 if a topic is missing or differs."""
    from shared.messaging.kafka.admin import describe_topics

    found = asyncio.run(describe_topics(_brokers(), TOPICS.values(), replication))
    for name, topic in TOPICS.items():
        facts = found.get(name, {"missing": "`sluice topics create` makes it"})
        say(f"{name:24} {'  '.join(f'{setting}={value}' for setting, value in facts.items())}")
        say(f"{'':24} key: {topic.key}; written by {topic.writer}; {topic.carries}")
    if any(name not in found or "differs" in found[name] for name in TOPICS):
        raise typer.Exit(1)


def _brokers() -> Brokers:
    brokers = read(CommonSettings).brokers()
    if brokers is None:
        raise Misconfigured(f"{variable('kafka')} is not set: there are no brokers to ask")
    return brokers
