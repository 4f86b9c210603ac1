"""The ledger's shape in ClickHouse, as the list of steps that led to it. Steps are only ever added, never changed.

ClickHouse has no transactions. What is posted may therefore be there twice for a while: when a poster was killed
between rows and position and posted again before the server had finished with the first, or when two post the same
call at the same moment. So rows are kept in tables called ``posted_…``, sorted by ``call_id``, of an engine that
drops the second when it merges parts; and everybody asks the views ``calls``, ``contents`` and ``positions``, which
drop it when they read (``FINAL``). The tables have no partitions: across two of them a second row could be missed.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from ..added import WHAT_PRICES_NEED, WHY_NO_COST, Kind
from ..custom_events import view_statement
from ..versions import refuse_newer

__all__ = ["MIGRATIONS", "Database", "migrate"]


class Database(Protocol):
    """What a step needs."""

    def execute(self, statement: str, /) -> Any: ...


# Of a column in which few different values come again and again only their numbers are kept.
_FEW, _FEW_OR_NONE = "LowCardinality(String)", "LowCardinality(Nullable(String))"

# A batch that was said to be posted survives a power cut: by itself the engine would not wait for the disk. And
# nothing is dropped for looking like an earlier insert, because a position may be the same as one before.
_DURABLE = "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 0"

# Ids ascend with time, and so do the times in the parts of a table that is sorted by id: the index tells which parts
# and stretches of them a question about last week need not read.
_CALLS = f"""
CREATE TABLE IF NOT EXISTS posted_calls (
    call_id String, replica {_FEW}, seq Int64, started_at DateTime64(6, 'UTC'),
    api {_FEW} DEFAULT 'other', operation {_FEW}, method {_FEW}, path {_FEW}, api_version {_FEW_OR_NONE},
    deployment {_FEW_OR_NONE}, requested_model {_FEW_OR_NONE}, stream Bool,
    caller {_FEW_OR_NONE}, key_id {_FEW_OR_NONE}, subject Nullable(String), tags Map(String, String),
    client_address Nullable(String), user_agent {_FEW_OR_NONE},
    backend {_FEW_OR_NONE}, region {_FEW_OR_NONE}, sku {_FEW_OR_NONE}, spillover_from {_FEW_OR_NONE},
    response_model {_FEW_OR_NONE}, upstream_request_id Nullable(String), response_id Nullable(String), attempts Int64,
    status Nullable(Int64), outcome {_FEW} DEFAULT 'completed', error_code {_FEW_OR_NONE},
    finish_reasons Array(String), content_filter Nullable(String),
    usage_source {_FEW} DEFAULT 'none', input_tokens Int64, cached_input_tokens Int64, output_tokens Int64,
    reasoning_tokens Int64, input_audio_tokens Int64, output_audio_tokens Int64,
    accepted_prediction_tokens Int64, rejected_prediction_tokens Int64, total_tokens Int64, usage Nullable(String),
    cost Nullable(Decimal(38, 12)), currency {_FEW_OR_NONE}, price_id {_FEW_OR_NONE},
    first_byte_ms Nullable(Float64), first_token_ms Nullable(Float64), stream_ms Nullable(Float64),
    latency_ms Float64, gateway_ms Float64, chunks Int64, bytes_in Int64, bytes_out Int64,
    traceparent Nullable(String),
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
    database.execute(view_statement(_ClickHouseDialect()))


def _3_traces(database: Database) -> None:
    database.execute("ALTER TABLE posted_contents ADD COLUMN IF NOT EXISTS trace Nullable(String)")
    _count_once(database, "contents")


def _count_once(database: Database, view: str) -> None:
    """Makes the view, or makes it again after its table got another column."""
    database.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM posted_{view} FINAL")


def _4_custom_events_of_calls_that_used_nothing(database: Database) -> None:
    _2_custom_events(database)


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

    def as_object(self, properties: Iterable[tuple[str, str]]) -> str:
        pairs = ", ".join(f"'{name}', {what}" for name, what in properties)
        return f"CAST(map({pairs}) AS Map(String, Nullable(String)))"


_KINDS: Final[dict[Kind, str]] = {
    "text": "Nullable(String)",
    "name": _FEW_OR_NONE,
    "count": "Int64",
    "json": "Nullable(String)",
    "counts": "Map(String, Int64)",
}


def _5_what_prices_need(database: Database) -> None:
    _add(database, WHAT_PRICES_NEED)


def _6_why_no_cost(database: Database) -> None:
    _add(database, WHY_NO_COST)


def _add(database: Database, columns: Mapping[str, Kind]) -> None:
    added = ", ".join(f"ADD COLUMN IF NOT EXISTS {name} {_KINDS[kind]}" for name, kind in columns.items())
    database.execute(f"ALTER TABLE posted_calls {added}")
    _count_once(database, "calls")


MIGRATIONS: Final[list[Callable[[Database], None]]] = [
    _1_calls_and_positions,
    _2_custom_events,
    _3_traces,
    _4_custom_events_of_calls_that_used_nothing,
    _5_what_prices_need,
    _6_why_no_cost,
]


def migrate(database: Database, applied: int) -> None:
    """Bring a ledger up to date that has seen ``applied`` of the steps. `ConfigError` if it is ahead of us.

    A step may be taken again from its beginning, by this process or by another one at the same time. Where nothing
    is to be done nothing is written, so that a user who may only read can open it.
    """
    refuse_newer(applied, len(MIGRATIONS))
    if applied == len(MIGRATIONS):
        return
    database.execute(
        "CREATE TABLE IF NOT EXISTS migrations (number Int64, name String, applied_at DateTime('UTC')) "
        "ENGINE = ReplacingMergeTree ORDER BY number"
    )
    for number, step in enumerate(MIGRATIONS[applied:], start=applied + 1):
        step(database)
        database.execute(f"INSERT INTO migrations VALUES ({number}, '{step.__name__}', now())")
