"""A real Kafka broker for the whole test run. In `tests/conftest.py`."""

from collections.abc import Iterator

import pytest

from deploy.kafka.broker import Broker, missing


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of a broker without topics; a machine without Java skips, and says so."""
    lacking = missing()
    if lacking:
        pytest.skip(f"kafka: {lacking}")
    broker = Broker(tmp_path_factory.mktemp("kafka"), quick_start=True)
    try:
        broker.start()
        yield broker.bootstrap
    finally:
        broker.stop()
