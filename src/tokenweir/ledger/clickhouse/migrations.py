"""The ledger's shape in ClickHouse, as the list of steps that led to it. Steps are only ever added, never changed.

ClickHouse has no transactions. What is posted may therefore be there twice for a while: when a poster was killed
between rows and position and posted again before the server had finished with the first, or when two post the same
call at the same moment. So rows are kept in tables called ``posted_…``, sorted by ``call_id``, of an engine that
drops the second when it merges parts; and everybody asks the views ``calls``, ``contents`` and ``positions``, which
drop it when they read (``FINAL``). The tables have no partitions: across two of them a second row could be missed.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from ...records import Column, ColumnKind
from ..corrections import TypeNames
from ..custom_events import view_statement, view_version
from ..months import creating_accounts
from ..rows import DEFAULTS
from ..schema import FIRST_COLUMNS, column_steps, columns_of_step, default_of, definitions, refuse_newer
from .lines import ClickHouseLines

__all__ = ["MIGRATIONS", "Database", "migrate"]


class Database(Protocol):
    """What a step needs."""

    def execute(self, statement: str, /) -> Any: ...


_TYPES: Final[dict[ColumnKind, str]] = {
    "text": "String",
    "count": "Int64",
    "milliseconds": "Float64",
    "flag": "Bool",
    "moment": "DateTime64(6, 'UTC')",
    "money": "Decimal(38, 12)",
    "labels": "Map(String, String)",
    "counts": "Map(String, Int64)",
    "quantities": "String",
    "object": "String",
    "texts": "Array(String)",
    "charges": "String",
}
# What a column has by itself where nothing is said.
_EMPTY = ("", "0", "0.0", "false", "{}", "[]")


def _type_of(column: Column) -> str:
    kind = _TYPES[column.kind]
    if column.is_optional:
        kind = f"Nullable({kind})"
    if column.kind == "text" and not column.is_distinct:
        kind = f"LowCardinality({kind})"  # of few different values that come again and again only numbers are kept
    is_plain = DEFAULTS.get(column.name, "") in _EMPTY and column.kind not in ("quantities", "charges")
    return kind if is_plain else kind + default_of(column)


# A batch that was said to be posted survives a power cut: by itself the engine would not wait for the disk. And
# nothing is dropped for looking like an earlier insert, because a position may be the same as one before.
_DURABLE = "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 0"

# Ids ascend with time, and so do the times in the parts of a table that is sorted by id: the index tells which parts
# and stretches of them a question about last week need not read.
_CALLS = f"""
CREATE TABLE IF NOT EXISTS posted_calls (
    {", ".join(definitions(FIRST_COLUMNS, _type_of))},
    INDEX by_time started_at TYPE minmax
) ENGINE = ReplacingMergeTree ORDER BY call_id {_DURABLE}
"""


def _1_calls_and_positions(database: Database) -> None:
    database.execute(_CALLS)
    # Bodies stand apart, so that reports never read past them.
    database.execute(
        "CREATE TABLE IF NOT EXISTS posted_contents "
        "(call_id String, request_body Nullable(String), response_body Nullable(String)) "
        f"ENGINE = ReplacingMergeTree ORDER BY call_id {_DURABLE}"
    )
    # Of two positions of a source, the one that came last is kept.
    database.execute(
        "CREATE TABLE IF NOT EXISTS posted_positions (source String, position String) "
        f"ENGINE = ReplacingMergeTree ORDER BY source {_DURABLE}"
    )
    for view in ("calls", "contents", "positions"):
        _count_once(database, view)


def _2_custom_events(database: Database) -> None:
    """The view is made when a ledger is opened, with the columns of all steps."""


def _3_traces(database: Database) -> None:
    database.execute("ALTER TABLE posted_contents ADD COLUMN IF NOT EXISTS trace Nullable(String)")
    _count_once(database, "contents")


_UNSEEN = "input_audio_seconds"
"""A column that quantities have replaced."""


def _count_once(database: Database, view: str) -> None:
    """Makes the view, or makes it again after its table got another column."""
    database.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT * EXCEPT ({_UNSEEN}) FROM posted_{view} FINAL")


def _4_custom_events_of_calls_that_used_nothing(database: Database) -> None:
    """The view is made when a ledger is opened, with the columns of all steps."""


class _ClickHouseDialect:
    def time_text(self, moment: str) -> str:
        return f"formatDateTime({moment}, '%Y-%m-%dT%H:%i:%S.%fZ')"

    def whole_text(self, number: str) -> str:
        return f"toString(toInt64({number}))"

    def money_text(self, amount: str) -> str:
        return f"toDecimalString({amount}, 12)"

    def map_text(self, pairs: str) -> str:
        # Its JSON has a backslash before each slash, which no other engine writes.
        return f"nullIf(replaceAll(toJSONString({pairs}), '\\\\/', '/'), '{{}}')"

    def json_text(self, column: str) -> str:
        return f"nullIf({column}, '{{}}')"

    def as_object(self, properties: Iterable[tuple[str, str]]) -> str:
        pairs = ", ".join(f"'{name}', {what}" for name, what in properties)
        return f"CAST(map({pairs}) AS Map(String, Nullable(String)))"


def _7_columns(database: Database) -> None:
    database.execute("ALTER TABLE posted_calls ADD COLUMN IF NOT EXISTS input_audio_seconds Float64")


def _9_quantities(database: Database) -> None:
    """The seconds become a quantity. Their column stays, unseen: nobody had to be allowed to drop or change any."""
    _add(database, columns_of_step(9))
    before, after = '{"input_audio_seconds":{"amount":"', '","source":"reported"}}'
    heard = f"concat('{before}', toString(input_audio_seconds), '{after}')"
    # Of two rows of a call the one that came last is kept.
    database.execute(
        f"INSERT INTO posted_calls SELECT * REPLACE ({heard} AS quantities) "
        "FROM posted_calls FINAL WHERE input_audio_seconds > 0"
    )


def _add(database: Database, columns: Sequence[Column]) -> None:
    added = definitions(columns, _type_of)
    database.execute(f"ALTER TABLE posted_calls {', '.join(f'ADD COLUMN IF NOT EXISTS {one}' for one in added)}")
    _count_once(database, "calls")


def _12_no_sums_of_days(database: Database) -> None:
    """Other engines keep sums of days here. This one adds up the calls faster than they do their sums."""


def _14_seals(database: Database) -> None:
    database.execute("ALTER TABLE posted_calls ADD COLUMN IF NOT EXISTS seal Nullable(Int64)")
    _count_once(database, "calls")
    database.execute(
        "CREATE TABLE IF NOT EXISTS seals (seal Int64, format Int64, previous String, digest String, calls Int64, "
        "first_started DateTime64(6, 'UTC'), last_started DateTime64(6, 'UTC'), sealed_at DateTime64(6, 'UTC'), "
        "reason LowCardinality(String)) ENGINE = MergeTree ORDER BY (seal, sealed_at) "
        "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
    )


def _15_no_sums_by_application(database: Database) -> None:
    """As 12."""


def _make_table(name: str, columns: Sequence[str], key: Sequence[str], *, is_small: bool) -> list[str]:
    engine = f"ReplacingMergeTree ORDER BY ({', '.join(key)})" if key else "MergeTree ORDER BY closing_id"
    return [f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(columns)}) ENGINE = {engine} {_DURABLE}"]


def _16_months_and_corrections(database: Database) -> None:
    types = TypeNames(
        text="String",
        optional_text="LowCardinality(Nullable(String))",
        moment="DateTime64(6, 'UTC')",
        whole="Int64",
        money="Decimal(38, 12)",
        optional_money="Nullable(Decimal(38, 12))",
    )
    for statement in creating_accounts(
        _type_of,
        types,
        _make_table,
        lambda table: f"(SELECT * FROM {table} FINAL)",
        ClickHouseLines(),
        has_days=False,
    ):
        database.execute(statement)


MIGRATIONS: Final[list[Callable[[Database], None]]] = [
    _1_calls_and_positions,
    _2_custom_events,
    _3_traces,
    _4_custom_events_of_calls_that_used_nothing,
    *column_steps(_add, 5, 6),
    _7_columns,
    *column_steps(_add, 8, 8),
    _9_quantities,
    *column_steps(_add, 10, 11),
    _12_no_sums_of_days,
    *column_steps(_add, 13, 13),
    _14_seals,
    _15_no_sums_by_application,
    _16_months_and_corrections,
]


def migrate(database: Database, applied: int, view: str | None) -> None:
    """Bring a ledger up to date that has seen ``applied`` of the steps and whose view ``customEvents`` has the comment
    ``view``. `ConfigError` if it is ahead of us.

    A step may be taken again from its beginning, by this process or by another one at the same time. Where nothing
    is to be done nothing is written, so that a user who may only read can open it.
    """
    refuse_newer(applied, len(MIGRATIONS))
    statement = view_statement(_ClickHouseDialect())
    version = view_version(statement)
    if applied == len(MIGRATIONS) and view == version:
        return
    database.execute(
        "CREATE TABLE IF NOT EXISTS migrations (number Int64, name String, applied_at DateTime('UTC')) "
        "ENGINE = ReplacingMergeTree ORDER BY number"
    )
    for number, step in enumerate(MIGRATIONS[applied:], start=applied + 1):
        step(database)
        database.execute(f"INSERT INTO migrations VALUES ({number}, '{step.__name__}', now())")
    database.execute(f"{statement} COMMENT '{version}'")
