"""Fixtures that every room may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clickhouse import ClickHouseServer, running_clickhouse
from support.postgres import PostgresServer, running_postgres

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts and recordings beside the checkout; the project stands without it."""
    if not SHARED.is_dir():
        pytest.skip(f"SKIPPED LOUDLY: no shared folder at {SHARED}, so recorded traffic is not replayed")
    return SHARED


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def clickhouse() -> Iterator[ClickHouseServer]:
    with running_clickhouse() as server:
        yield server
