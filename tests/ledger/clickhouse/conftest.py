"""ClickHouse alone."""

from collections.abc import Iterator

import pytest

from support.clickhouse import ClickHouseServer, running_clickhouse
from support.engines import ClickHouseEngine


@pytest.fixture
def engine(clickhouse: ClickHouseServer) -> ClickHouseEngine:
    return ClickHouseEngine(clickhouse)


@pytest.fixture
def own_server() -> Iterator[ClickHouseServer]:
    """One that may be stopped."""
    with running_clickhouse() as server:
        yield server
