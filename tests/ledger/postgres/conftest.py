"""PostgreSQL alone."""

import pytest

from support.engines import PostgresEngine
from support.postgres import PostgresServer


@pytest.fixture
def engine(postgres: PostgresServer) -> PostgresEngine:
    return PostgresEngine(postgres)
