"""The ledger's shape, as the list of steps that led to it. Steps are only ever added, never changed."""

from collections.abc import Callable, Mapping
from typing import Final

from duckdb import DuckDBPyConnection

from ..added import WHAT_PRICES_NEED, WHY_NO_COST, Kind
from ..custom_events import view_statement
from ..versions import refuse_newer
from .dialect import DuckDBDialect

__all__ = ["MIGRATIONS", "migrate"]

# Times are TIMESTAMP holding UTC rather than TIMESTAMPTZ: KQL translates to plain TIMESTAMP arithmetic in
# UTC, and the session's time zone is pinned to UTC, so SQL and KQL compare and print the same moments.
_CALLS = """
CREATE TABLE calls (
    call_id VARCHAR PRIMARY KEY, replica VARCHAR, seq BIGINT, started_at TIMESTAMP NOT NULL,
    api VARCHAR, operation VARCHAR, method VARCHAR, path VARCHAR, api_version VARCHAR,
    deployment VARCHAR, requested_model VARCHAR, stream BOOLEAN,
    caller VARCHAR, key_id VARCHAR, subject VARCHAR, tags JSON, client_address VARCHAR, user_agent VARCHAR,
    backend VARCHAR, region VARCHAR, sku VARCHAR, spillover_from VARCHAR, response_model VARCHAR,
    upstream_request_id VARCHAR, response_id VARCHAR, attempts BIGINT,
    status BIGINT, outcome VARCHAR, error_code VARCHAR, finish_reasons JSON, content_filter VARCHAR,
    usage_source VARCHAR, input_tokens BIGINT, cached_input_tokens BIGINT, output_tokens BIGINT,
    reasoning_tokens BIGINT, input_audio_tokens BIGINT, output_audio_tokens BIGINT,
    accepted_prediction_tokens BIGINT, rejected_prediction_tokens BIGINT, total_tokens BIGINT, usage JSON,
    cost DECIMAL(38,12), currency VARCHAR, price_id VARCHAR,
    first_byte_ms DOUBLE, first_token_ms DOUBLE, stream_ms DOUBLE, latency_ms DOUBLE, gateway_ms DOUBLE,
    chunks BIGINT, bytes_in BIGINT, bytes_out BIGINT,
    traceparent VARCHAR
)
"""


def _1_calls_and_positions(connection: DuckDBPyConnection) -> None:
    connection.execute(_CALLS)
    # Bodies stand apart, so that reports never read past them.
    connection.execute(
        "CREATE TABLE contents (call_id VARCHAR PRIMARY KEY, request_body VARCHAR, response_body VARCHAR)"
    )
    connection.execute("CREATE TABLE positions (source VARCHAR PRIMARY KEY, position VARCHAR NOT NULL)")


def _2_custom_events(connection: DuckDBPyConnection) -> None:
    connection.execute(view_statement(DuckDBDialect()))


def _3_traces(connection: DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE contents ADD COLUMN trace VARCHAR")


def _4_custom_events_of_calls_that_used_nothing(connection: DuckDBPyConnection) -> None:
    _2_custom_events(connection)


_KINDS: Final[dict[Kind, str]] = {
    "text": "VARCHAR",
    "name": "VARCHAR",
    "count": "BIGINT DEFAULT 0",
    "json": "JSON",
    "counts": "JSON DEFAULT '{}'",
}


def _5_what_prices_need(connection: DuckDBPyConnection) -> None:
    _add(connection, WHAT_PRICES_NEED)


def _6_why_no_cost(connection: DuckDBPyConnection) -> None:
    _add(connection, WHY_NO_COST)


def _add(connection: DuckDBPyConnection, columns: Mapping[str, Kind]) -> None:
    for name, kind in columns.items():
        connection.execute(f"ALTER TABLE calls ADD COLUMN {name} {_KINDS[kind]}")


MIGRATIONS: Final[list[Callable[[DuckDBPyConnection], None]]] = [
    _1_calls_and_positions,
    _2_custom_events,
    _3_traces,
    _4_custom_events_of_calls_that_used_nothing,
    _5_what_prices_need,
    _6_why_no_cost,
]


def migrate(connection: DuckDBPyConnection) -> None:
    """Bring a ledger up to date, each step in its own transaction. `ConfigError` if it is ahead of us."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations "
        "(number BIGINT PRIMARY KEY, name VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL)"
    )
    row = connection.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()
    applied = row[0] if row else 0
    refuse_newer(applied, len(MIGRATIONS))
    for number, step in enumerate(MIGRATIONS[applied:], start=applied + 1):
        connection.begin()
        step(connection)
        connection.execute("INSERT INTO migrations VALUES (?, ?, now())", [number, step.__name__])
        connection.commit()
