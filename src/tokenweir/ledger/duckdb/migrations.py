"""The ledger's shape, as the list of steps that led to it. Steps are only ever added, never changed."""

from collections.abc import Callable, Sequence
from typing import Final

from duckdb import DuckDBPyConnection

from ...records import Column, ColumnKind
from ..corrections import TypeNames
from ..custom_events import view_statement, view_version
from ..months import creating_accounts
from ..rollups import also_by, creating
from ..rows import JSON_KINDS
from ..schema import FIRST_COLUMNS, column_steps, columns_of_step, default_of, definitions, refuse_newer
from ..seals import creating_seals
from .dialect import DuckDBDialect
from .lines import DuckDBLines

__all__ = ["MIGRATIONS", "migrate"]

# Times are TIMESTAMP holding UTC rather than TIMESTAMPTZ: KQL translates to plain TIMESTAMP arithmetic in
# UTC, and the session's time zone is pinned to UTC, so SQL and KQL compare and print the same moments.
_TYPES: Final[dict[ColumnKind, str]] = {
    "text": "VARCHAR",
    "count": "BIGINT",
    "milliseconds": "DOUBLE",
    "flag": "BOOLEAN",
    "moment": "TIMESTAMP",
    "money": "DECIMAL(38,12)",
    **dict.fromkeys(JSON_KINDS, "JSON"),
}
_CONSTRAINTS = {"call_id": " PRIMARY KEY", "started_at": " NOT NULL"}


def _1_calls_and_positions(connection: DuckDBPyConnection) -> None:
    columns = definitions(FIRST_COLUMNS, lambda column: _TYPES[column.kind] + _CONSTRAINTS.get(column.name, ""))
    connection.execute(f"CREATE TABLE calls ({', '.join(columns)})")
    # Bodies stand apart, so that reports never read past them.
    connection.execute(
        "CREATE TABLE contents (call_id VARCHAR PRIMARY KEY, request_body VARCHAR, response_body VARCHAR)"
    )
    connection.execute("CREATE TABLE positions (source VARCHAR PRIMARY KEY, position VARCHAR NOT NULL)")


def _2_custom_events(connection: DuckDBPyConnection) -> None:
    """The view is made when a ledger is opened, with the columns of all steps."""


def _3_traces(connection: DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE contents ADD COLUMN trace VARCHAR")


def _4_custom_events_of_calls_that_used_nothing(connection: DuckDBPyConnection) -> None:
    """The view is made when a ledger is opened, with the columns of all steps."""


def _7_columns(connection: DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE calls ADD COLUMN input_audio_seconds DOUBLE DEFAULT 0.0")


def _9_quantities(connection: DuckDBPyConnection) -> None:
    _add(connection, columns_of_step(9))
    connection.execute(
        "UPDATE calls SET quantities = json_object('input_audio_seconds', json_object("
        "'amount', CAST(input_audio_seconds AS VARCHAR), 'source', 'reported')) WHERE input_audio_seconds > 0"
    )
    connection.execute("ALTER TABLE calls DROP COLUMN input_audio_seconds")


def _add(connection: DuckDBPyConnection, columns: Sequence[Column]) -> None:
    for definition in definitions(columns, lambda column: _TYPES[column.kind] + default_of(column)):
        connection.execute(f"ALTER TABLE calls ADD COLUMN {definition}")


def _12_sums_of_days(connection: DuckDBPyConnection) -> None:
    for statement in creating(
        lambda column: _TYPES[column.kind], text="VARCHAR", moment="TIMESTAMP", whole="HUGEINT", money="DECIMAL(38,12)"
    ):
        connection.execute(statement)


def _14_seals(connection: DuckDBPyConnection) -> None:
    for statement in creating_seals("VARCHAR", "TIMESTAMP"):
        connection.execute(statement)


def _15_sums_by_application(connection: DuckDBPyConnection) -> None:
    for statement in also_by("application", lambda column: _TYPES[column.kind]):
        connection.execute(statement)


def _make_table(name: str, columns: Sequence[str], key: Sequence[str], *, is_small: bool) -> list[str]:
    # Of a large table a key would be kept in memory.
    keyed = f", PRIMARY KEY ({', '.join(key)})" if key and is_small else ""
    return [f"CREATE TABLE {name} ({', '.join(columns)}{keyed})"]


def _16_months_and_corrections(connection: DuckDBPyConnection) -> None:
    types = TypeNames(
        text="VARCHAR NOT NULL",
        optional_text="VARCHAR",
        moment="TIMESTAMP NOT NULL",
        whole="BIGINT NOT NULL",
        money="DECIMAL(38,12) NOT NULL",
        optional_money="DECIMAL(38,12)",
    )
    for statement in creating_accounts(
        lambda column: _TYPES[column.kind], types, _make_table, str, DuckDBLines(), has_days=True
    ):
        connection.execute(statement)


MIGRATIONS: Final[list[Callable[[DuckDBPyConnection], None]]] = [
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
    statement = view_statement(DuckDBDialect())
    version = view_version(statement)
    found = connection.execute("SELECT comment FROM duckdb_views() WHERE view_name = 'customEvents'").fetchone()
    if found != (version,):
        connection.begin()
        connection.execute(statement)
        connection.execute(f"COMMENT ON VIEW \"customEvents\" IS '{version}'")
        connection.commit()
