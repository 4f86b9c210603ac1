"""Fixtures that every room may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from support.clickhouse import ClickHouseServer, running_clickhouse
from support.postgres import PostgresServer, running_postgres
from tokenweir.build import running_build

# Properties are judged by what they find, never by how long a busy machine takes.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_report_header() -> str:
    return f"core: {running_build()}"


def pytest_sessionstart() -> None:
    """A run says of one build that it works: not of sources that were compiled before they were changed, and not of
    another build than the one that was asked for."""
    build = running_build()
    if build.hint:
        pytest.exit(f"{build}; {build.hint}", returncode=2)
    if os.environ.get("TESTED_BUILD") == "compiled" and not build.compiled:
        pytest.exit(f"the compiled build was to be tested, and this is {build}", returncode=2)


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
