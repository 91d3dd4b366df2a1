"""Every test runs twice: on the embedded log as it is, and with records that have to prove their writers, as on Kafka."""

from collections.abc import Iterator

import pytest

from tests.signing import signing


@pytest.fixture(autouse=True, params=[False, True], ids=["", "signed"])
def may_be_signed(request: pytest.FixtureRequest) -> Iterator[None]:
    with signing(request.param):
        yield
