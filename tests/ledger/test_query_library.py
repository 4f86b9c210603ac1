"""``queries/``: each question in KQL and in SQL, with the same answer from every engine that can run both."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import duckdb
import pytest
from duckdb import DuckDBPyConnection

from support.engines import ENGINES, new_engine
from support.kusto import Fault, faults_of
from support.varied_usage import SURGE, varied_usage
from tokenweir.errors import QueryError
from tokenweir.ledger import Ledger, Table, open_ledger
from tokenweir.ledger.duckdb.sandbox import translate
from tokenweir.records import CUSTOM_EVENT_PROPERTIES, CallRecord

ROOT = Path(__file__).resolve().parents[2]
QUERIES = ROOT / "queries"
NAMES = sorted(file.stem for file in QUERIES.glob("*.kql"))
TODAY = ["all-apps-tokens-count", "tokens-count-per-app"]

NOT_ON_CLICKHOUSE = {"cost-by-cost-centre", "latency-by-hour", "latency-by-region", "searches-and-images"}
"""Their SQL reaches into a JSON column, or asks for percentiles, in words that ClickHouse does not know."""


@pytest.fixture(scope="module", params=ENGINES)
def ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Two weeks of calls in each engine in turn. Nobody here writes."""
    engine = new_engine(request, tmp_path_factory.mktemp("ledger"))
    engine.fill()
    ledger = engine.open()
    ledger.post(varied_usage(), "relay-1", "1")
    yield ledger
    ledger.close()


def read(name: str, dialect: str) -> str:
    return (QUERIES / f"{name}.{dialect}").read_text()


def cells(table: Table) -> list[list[Any]]:
    """The rows, with numbers as numbers whether they came as such or as text."""
    return [[_cell(cell) for cell in row] for row in table.rows]


def _cell(cell: Any) -> Any:
    try:
        return cell if cell is None else Decimal(str(cell)).normalize()
    except InvalidOperation:
        return cell


@pytest.mark.parametrize("name", NAMES)
def test_both_dialects_give_the_same_answer(name: str, ledger: Ledger, request: pytest.FixtureRequest) -> None:
    kql = ledger.query_kql(read(name, "kql"))
    assert kql.rows, "an empty answer proves nothing"
    if name in NOT_ON_CLICKHOUSE and request.node.callspec.params["ledger"] == "clickhouse":
        with pytest.raises(QueryError):
            ledger.query_sql(read(name, "sql"))
        return
    sql = ledger.query_sql(read(name, "sql"))
    assert sql.columns == kql.columns
    if "| order by" in read(name, "kql"):
        assert cells(sql) == cells(kql)
    else:
        assert sorted(cells(sql), key=str) == sorted(cells(kql), key=str)


@pytest.fixture(scope="module")
def insights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBPyConnection]:
    """Application Insights after a delivery in doubt: ``customEvents`` as a table, with every event in it twice."""
    file = tmp_path_factory.mktemp("insights") / "ledger.duckdb"
    ledger = open_ledger(f"duckdb:{file}")
    ledger.post(varied_usage(), "relay-1", "1")
    ledger.close()
    with duckdb.connect(str(file)) as connection:
        connection.execute('CREATE TABLE twice AS FROM "customEvents" UNION ALL FROM "customEvents"')
        connection.execute('DROP VIEW "customEvents"')
        connection.execute('ALTER TABLE twice RENAME TO "customEvents"')
        yield connection


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TODAY])
def test_an_event_that_came_twice_is_counted_once(name: str, insights: DuckDBPyConnection) -> None:
    def answer() -> list[Any]:
        return insights.execute(*translate(insights, read(name, "kql"))).fetchall()

    twice = answer()
    insights.begin()
    insights.execute('CREATE OR REPLACE TABLE "customEvents" AS SELECT DISTINCT * FROM "customEvents"')
    once = answer()
    insights.rollback()
    assert twice == once != []


def used(calls: Iterable[CallRecord]) -> list[CallRecord]:
    return [call for call in calls if call.usage.source != "none"]


def test_cost_by_team_is_what_the_records_add_up_to(ledger: Ledger) -> None:
    costs: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    tokens: dict[tuple[str, str], int] = defaultdict(int)
    for call in used(varied_usage()):
        costs[call.caller or "", call.currency or ""] += call.cost or 0
        tokens[call.caller or "", call.currency or ""] += call.usage.total_tokens
    table = ledger.query_sql(read("cost-by-team", "sql"))
    found = {(row["team"], row["currency"]): row for row in as_dicts(table)}
    assert {key: Decimal(row["cost"] or 0) for key, row in found.items()} == {
        key: round(cost, 6) for key, cost in costs.items()
    }
    assert {key: int(row["total_tokens"]) for key, row in found.items()} == tokens


def test_throttling_counts_the_429s(ledger: Ledger) -> None:
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for call in varied_usage():
        count = counts[f"{call.started_at:%Y-%m-%dT%H}", call.deployment or ""]
        count[0] += 1
        count[1] += call.status == 429
    found = as_dicts(ledger.query_kql(read("throttling", "kql")))
    assert {(row["hour"][:13], row["deployment"]): [row["calls"], row["throttled"]] for row in found} == {
        key: count for key, count in counts.items() if count[1]
    }


def test_percentiles_are_those_of_calls_that_happened(ledger: Ledger) -> None:
    """The nearest rank: a percentile is the latency of one of the calls."""
    latencies: dict[str, list[int]] = defaultdict(list)
    for call in used(varied_usage()):
        latencies[call.region or ""].append(int(call.latency_ms + 0.5))
    for row in as_dicts(ledger.query_kql(read("latency-by-region", "kql"))):
        ordered = sorted(latencies[row["region"]])
        for name, percent in (("p50_ms", 50), ("p95_ms", 95), ("p99_ms", 99)):
            assert row[name] == ordered[-(-len(ordered) * percent // 100) - 1]


def test_the_day_of_the_surge_is_unusual(ledger: Ledger) -> None:
    days: dict[tuple[str, Any], int] = defaultdict(int)
    for call in used(varied_usage()):
        days[call.caller or "", call.started_at.date()] += call.usage.total_tokens
    expected = []
    for (caller, day), tokens in days.items():
        before = [days[caller, day - timedelta(n)] for n in range(1, 8) if (caller, day - timedelta(n)) in days]
        if len(before) >= 3 and tokens > mean(before) + 3 * stdev(before) and tokens > 2 * mean(before):
            expected.append((f"{day}", caller, tokens, len(before)))
    found = as_dicts(ledger.query_kql(read("unusual-days", "kql")))
    assert [(row["day"][:10], row["caller"], int(row["tokens"]), row["days_before"]) for row in found] == sorted(
        expected
    )
    assert (f"{SURGE[1]:%Y-%m-%d}", SURGE[0]) in {(day, caller) for day, caller, *_ in expected}


def as_dicts(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_every_question_is_asked_in_both_dialects_and_says_what_it_answers() -> None:
    assert sorted(file.stem for file in QUERIES.glob("*.sql")) == NAMES
    for name in NAMES:
        first_lines = [read(name, dialect).partition("\n")[0] for dialect in ("kql", "sql")]
        assert first_lines[0].startswith("// ") and first_lines[0].endswith(".")
        if name not in TODAY:
            assert first_lines[1] == "-- " + first_lines[0].removeprefix("// ")


def test_the_readme_lists_every_question() -> None:
    assert re.findall(r"^\| \[`([\w-]+)`\]", (QUERIES / "README.md").read_text(), re.MULTILINE) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_query_asks_for_properties_that_events_have(name: str) -> None:
    """To Kusto they are names within a text, and any name would do."""
    asked = re.findall(r"(?:customDimensions|(?<!\w)tokens)\.(\w+)", read(name, "kql"))
    assert asked
    assert set(asked) <= set(CUSTOM_EVENT_PROPERTIES)


def kql_that_ships() -> dict[str, str]:
    """Every query over ``customEvents`` in this repository that somebody may paste into the portal."""
    queries = {f"{name}.kql": read(name, "kql") for name in NAMES}
    for page in [file for folder in ("docs", "queries", "deploy") for file in (ROOT / folder).rglob("*.md")]:
        blocks = re.findall(r"^```(?:kusto|kql)\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        shown = {f"{page.relative_to(ROOT)}, {n}": text for n, text in enumerate(blocks) if "customEvents" in text}
        queries |= shown
    return queries


def test_kusto_finds_nothing_wrong_with_any_query() -> None:
    queries = kql_that_ships()
    assert len(queries) > len(NAMES)
    faults = dict(zip(queries, faults_of(list(queries.values())), strict=True))
    assert {name: found for name, found in faults.items() if found} == {}


def test_kusto_would_have_found_a_typo() -> None:
    assert faults_of(
        [
            "customEvents | where nam == 'x'",
            "customEvents | summarize n = cuont() by name",
            "customEvents | extend day = startofday(timestamp) | project day, Day",
            "customEvents | count",
        ]
    ) == [
        [Fault("The name 'nam' does not refer to any known column, table, variable or function.", "nam")],
        [Fault("The name 'cuont' does not refer to any known function.", "cuont")],
        [Fault("The name 'Day' does not refer to any known column, table, variable or function.", "Day")],
        [],
    ]
