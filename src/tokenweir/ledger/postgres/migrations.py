"""The ledger's shape in PostgreSQL, as the list of steps that led to it. Steps are only ever added, never changed."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import psycopg

from ...records import Column, ColumnKind
from ..corrections import TypeNames
from ..custom_events import view_statement, view_version
from ..months import creating_accounts
from ..rollups import also_by, creating
from ..rows import JSON_KINDS
from ..schema import FIRST_COLUMNS, column_steps, columns_of_step, default_of, definitions, refuse_newer
from ..seals import creating_seals
from .lines import PostgresLines

__all__ = ["MIGRATIONS", "migrate"]

Connection = psycopg.Connection[tuple[Any, ...]]

# One process at a time brings a database up to date; the others wait for it. Any number will do.
_LOCK = int.from_bytes(b"tokenwei")

# Times are plain TIMESTAMP holding UTC, so that a day is the same day in every session, whatever its time zone.
# Texts sort by their code points, as in the other engines, and not as the database's language would have it.
# JSON is kept as the text it came as: binary JSON would reorder names and lose how a number was written.
_TEXT = 'text COLLATE "C"'
_TYPES: Final[dict[ColumnKind, str]] = {
    "text": _TEXT,
    "count": "bigint",
    "milliseconds": "double precision",
    "flag": "boolean",
    "moment": "timestamp",
    "money": "numeric(38,12)",
    **dict.fromkeys(JSON_KINDS, "json"),
}
_CONSTRAINTS = {"call_id": " PRIMARY KEY", "started_at": " NOT NULL"}


def _1_calls_and_positions(connection: Connection) -> None:
    columns = definitions(FIRST_COLUMNS, lambda column: _TYPES[column.kind] + _CONSTRAINTS.get(column.name, ""))
    connection.execute(f"CREATE TABLE calls ({', '.join(columns)})")
    connection.execute("CREATE INDEX calls_by_time ON calls (started_at, call_id)")
    # Bodies stand apart, so that reports never read past them.
    connection.execute(f"CREATE TABLE contents (call_id {_TEXT} PRIMARY KEY, request_body text, response_body text)")
    connection.execute(f"CREATE TABLE positions (source {_TEXT} PRIMARY KEY, position text NOT NULL)")


def _2_custom_events(connection: Connection) -> None:
    """The view is made when a ledger is opened, with the columns of all steps."""


class _PostgresDialect:
    def time_text(self, moment: str) -> str:
        return f'to_char({moment}, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'

    def whole_text(self, number: str) -> str:
        return f"CAST(CAST({number} AS bigint) AS text)"

    def money_text(self, amount: str) -> str:
        return f"CAST({amount} AS text)"

    def map_text(self, pairs: str) -> str:
        return f"nullif(CAST({pairs} AS text), '{{}}')"

    json_text = map_text

    def as_object(self, properties: Iterable[tuple[str, str]]) -> str:
        return "json_build_object(" + ", ".join(f"'{name}', {what}" for name, what in properties) + ")"


def _3_traces(connection: Connection) -> None:
    connection.execute("ALTER TABLE contents ADD COLUMN trace text")


def _4_custom_events_of_calls_that_used_nothing(connection: Connection) -> None:
    """The view is made when a ledger is opened, with the columns of all steps."""


def _7_columns(connection: Connection) -> None:
    connection.execute("ALTER TABLE calls ADD COLUMN input_audio_seconds double precision DEFAULT 0.0")


def _9_quantities(connection: Connection) -> None:
    _add(connection, columns_of_step(9))
    connection.execute(
        "UPDATE calls SET quantities = json_build_object('input_audio_seconds', json_build_object("
        "'amount', CAST(input_audio_seconds AS text), 'source', 'reported')) WHERE input_audio_seconds > 0"
    )
    connection.execute("ALTER TABLE calls DROP COLUMN input_audio_seconds")


def _add(connection: Connection, columns: Sequence[Column]) -> None:
    added = definitions(columns, lambda column: _TYPES[column.kind] + default_of(column))
    connection.execute(f"ALTER TABLE calls {', '.join(f'ADD COLUMN {one}' for one in added)}")


def _12_sums_of_days(connection: Connection) -> None:
    for statement in creating(
        lambda column: _TYPES[column.kind], text=_TEXT, moment="timestamp", whole="numeric", money="numeric"
    ):
        connection.execute(statement)
    # A caller's newest calls, and that there are none.
    connection.execute("CREATE INDEX calls_by_caller ON calls (caller, started_at, call_id)")
    connection.execute("CREATE INDEX daily_usage_by_day ON daily_usage (started_at)")


def _14_seals(connection: Connection) -> None:
    for statement in creating_seals(_TEXT, "timestamp"):
        connection.execute(statement)
    # Numbers ascend as rows are added, so that a few bounds of many pages tell where some of them are.
    connection.execute("CREATE INDEX calls_by_seal ON calls USING brin (seal)")
    connection.execute("CREATE INDEX seals_by_number ON seals (seal)")


def _15_sums_by_application(connection: Connection) -> None:
    for statement in also_by("application", lambda column: _TYPES[column.kind]):
        connection.execute(statement)


def _make_table(name: str, columns: Sequence[str], key: Sequence[str], *, is_small: bool) -> list[str]:
    keyed = f", PRIMARY KEY ({', '.join(key)})" if key else ""
    return [f"CREATE TABLE {name} ({', '.join(columns)}{keyed})"]


def _16_months_and_corrections(connection: Connection) -> None:
    types = TypeNames(
        text=f"{_TEXT} NOT NULL",
        optional_text=_TEXT,
        moment="timestamp NOT NULL",
        whole="bigint NOT NULL",
        money="numeric NOT NULL",
        optional_money="numeric",
    )
    for statement in creating_accounts(
        lambda column: _TYPES[column.kind], types, _make_table, str, PostgresLines(), has_days=True
    ):
        connection.execute(statement.encode())
    connection.execute("CREATE INDEX corrections_by_time ON posted_corrections (call_started_at)")
    connection.execute("CREATE INDEX daily_charges_by_day ON daily_charges (started_at)")
    connection.execute("CREATE INDEX statement_rows_by_closing ON posted_statement_rows (closing_id)")


MIGRATIONS: Final[list[Callable[[Connection], None]]] = [
    _1_calls_and_positions,
    _2_custom_events,
    _3_traces,
    _4_custom_events_of_calls_that_used_nothing,
    *column_steps(_add, 5, 6),
    _7_columns,
    *column_steps(_add, 8, 8),
    _9_quantities,
    *column_steps(_add, 10, 11),
    _12_sums_of_days,
    *column_steps(_add, 13, 13),
    _14_seals,
    _15_sums_by_application,
    _16_months_and_corrections,
]


def migrate(connection: Connection) -> None:
    """Bring a ledger up to date, in one transaction. `ConfigError` if it is ahead of us.

    Where nothing is to be done nothing is written, so that a user who may only read can open it.
    """
    refuse_newer(applied := _applied(connection), len(MIGRATIONS))
    statement = view_statement(_PostgresDialect())
    version = view_version(statement)
    if applied == len(MIGRATIONS) and _view_version(connection) == version:
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
        connection.execute(statement)
        connection.execute(f"COMMENT ON VIEW \"customEvents\" IS '{version}'")


def _view_version(connection: Connection) -> str | None:
    with connection.transaction():
        row = connection.execute("SELECT obj_description(to_regclass('\"customEvents\"'), 'pg_class')").fetchone()
    return row[0] if row else None


def _applied(connection: Connection) -> int:
    with connection.transaction():
        if connection.execute("SELECT to_regclass('migrations')").fetchone() == (None,):
            return 0
        row = connection.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()
    return int(row[0]) if row else 0
