"""The ledger's shape in PostgreSQL, as the list of steps that led to it. Steps are only ever added, never changed."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import psycopg

from ..added import WHAT_PRICES_NEED, WHY_NO_COST, Kind
from ..custom_events import view_statement
from ..versions import refuse_newer

__all__ = ["MIGRATIONS", "migrate"]

Connection = psycopg.Connection[tuple[Any, ...]]

# One process at a time brings a database up to date; the others wait for it. Any number will do.
_LOCK = int.from_bytes(b"tokenwei")

# Times are plain TIMESTAMP holding UTC, so that a day is the same day in every session, whatever its time zone.
# Texts sort by their code points, as in the other engines, and not as the database's language would have it.
# JSON is kept as the text it came as: binary JSON would reorder names and lose how a number was written.
_TEXT = 'text COLLATE "C"'
_CALLS = """
CREATE TABLE calls (
    call_id text PRIMARY KEY, replica text, seq bigint, started_at timestamp NOT NULL,
    api text, operation text, method text, path text, api_version text,
    deployment text, requested_model text, stream boolean,
    caller text, key_id text, subject text, tags json, client_address text, user_agent text,
    backend text, region text, sku text, spillover_from text, response_model text,
    upstream_request_id text, response_id text, attempts bigint,
    status bigint, outcome text, error_code text, finish_reasons json, content_filter text,
    usage_source text, input_tokens bigint, cached_input_tokens bigint, output_tokens bigint,
    reasoning_tokens bigint, input_audio_tokens bigint, output_audio_tokens bigint,
    accepted_prediction_tokens bigint, rejected_prediction_tokens bigint, total_tokens bigint, usage json,
    cost numeric(38,12), currency text, price_id text,
    first_byte_ms double precision, first_token_ms double precision, stream_ms double precision,
    latency_ms double precision, gateway_ms double precision,
    chunks bigint, bytes_in bigint, bytes_out bigint,
    traceparent text
)
""".replace(" text", f" {_TEXT}")


def _1_calls_and_positions(connection: Connection) -> None:
    connection.execute(_CALLS)
    connection.execute("CREATE INDEX calls_by_time ON calls (started_at, call_id)")
    # Bodies stand apart, so that reports never read past them.
    connection.execute(f"CREATE TABLE contents (call_id {_TEXT} PRIMARY KEY, request_body text, response_body text)")
    connection.execute(f"CREATE TABLE positions (source {_TEXT} PRIMARY KEY, position text NOT NULL)")


def _2_custom_events(connection: Connection) -> None:
    connection.execute(view_statement(_PostgresDialect()))


class _PostgresDialect:
    def time_text(self, moment: str) -> str:
        return f'to_char({moment}, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'

    def whole_text(self, number: str) -> str:
        return f"CAST(CAST({number} AS bigint) AS text)"

    def money_text(self, amount: str) -> str:
        return f"CAST({amount} AS text)"

    def map_text(self, pairs: str) -> str:
        return f"nullif(CAST({pairs} AS text), '{{}}')"

    def as_object(self, properties: Iterable[tuple[str, str]]) -> str:
        return "json_build_object(" + ", ".join(f"'{name}', {what}" for name, what in properties) + ")"


def _3_traces(connection: Connection) -> None:
    connection.execute("ALTER TABLE contents ADD COLUMN trace text")


def _4_custom_events_of_calls_that_used_nothing(connection: Connection) -> None:
    _2_custom_events(connection)


_KINDS: Final[dict[Kind, str]] = {
    "text": _TEXT,
    "name": _TEXT,
    "count": "bigint DEFAULT 0",
    "json": "json",
    "counts": "json DEFAULT '{}'",
}


def _5_what_prices_need(connection: Connection) -> None:
    _add(connection, WHAT_PRICES_NEED)


def _6_why_no_cost(connection: Connection) -> None:
    _add(connection, WHY_NO_COST)


def _add(connection: Connection, columns: Mapping[str, Kind]) -> None:
    added = ", ".join(f"ADD COLUMN {name} {_KINDS[kind]}" for name, kind in columns.items())
    connection.execute(f"ALTER TABLE calls {added}")


MIGRATIONS: Final[list[Callable[[Connection], None]]] = [
    _1_calls_and_positions,
    _2_custom_events,
    _3_traces,
    _4_custom_events_of_calls_that_used_nothing,
    _5_what_prices_need,
    _6_why_no_cost,
]


def migrate(connection: Connection) -> None:
    """Bring a ledger up to date, in one transaction. `ConfigError` if it is ahead of us.

    Where nothing is to be done nothing is written, so that a user who may only read can open it.
    """
    refuse_newer(applied := _applied(connection), len(MIGRATIONS))
    if applied == len(MIGRATIONS):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations "
            "(number bigint PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL)"
        )
        applied = _applied(connection)
        for number, step in enumerate(MIGRATIONS[applied:], start=applied + 1):
            step(connection)
            connection.execute("INSERT INTO migrations VALUES (%s, %s, now())", [number, step.__name__])


def _applied(connection: Connection) -> int:
    with connection.transaction():
        if connection.execute("SELECT to_regclass('migrations')").fetchone() == (None,):
            return 0
        row = connection.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()
    return int(row[0]) if row else 0
