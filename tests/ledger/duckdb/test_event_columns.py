"""KQL over ``customEvents`` gives over columns what it gives over the objects."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from tokenweir.ledger.base import Table
from tokenweir.ledger.duckdb import sandbox
from tokenweir.ledger.duckdb.file import DuckDBFile
from tokenweir.ledger.duckdb.ledger import DuckDBLedger
from tokenweir.records import CallRecord, from_fields

QUERIES = Path(__file__).parents[3] / "queries"

ASKED = """
customEvents
| project Model = customDimensions.Model, Cost = customDimensions.Cost

customEvents
| extend t = parse_json(customDimensions)
| project t.Caller, tostring(t['Status']), toint(t.Status)

customEvents
| extend t = parse_json(customDimensions), n = customDimensions.TotalTokens
| extend m = tolong(n)
| project n, m, tolong(t.TotalTokens)

customEvents
| where customDimensions.Status == 429
| count

customEvents
| where customDimensions.Caller == 'team-1'
| project timestamp, customDimensions

customEvents
| where customDimensions.Caller contains 'TEAM-1'
| summarize dcount(tostring(customDimensions.Model))

customEvents
| where tostring(customDimensions.ErrorCode) == ''
| count

customEvents
| summarize by Caller = tostring(customDimensions.Caller), d = customDimensions.Deployment

customEvents
| extend c = customDimensions.Caller
| summarize n = count() by c = tostring(c)
| project toupper(c), n

customEvents
| extend n = customDimensions.PromptTokens
| summarize n = sum(toint(n)) by tostring(customDimensions.Model)
| extend twice = tolong(n) * 2

customEvents
| project tolong(customDimensions.Cost), toint(customDimensions.Model), todouble(customDimensions.Status)

customEvents
| project tolong(customDimensions.LatencyMs), todouble(customDimensions.Cost), tolong(customDimensions.No)

customEvents
| summarize count() by bin(timestamp, 1h), tostring(customDimensions.Outcome)

customEvents
| summarize count() by bin(timestamp, 7d), tostring(customDimensions.Outcome)

customEvents
| summarize arg_max(timestamp, customDimensions) by tostring(customDimensions.Caller)
| project customDimensions.Caller, tostring(customDimensions.TokenInfoId)

customEvents
| summarize arg_max(timestamp, *) by CallId = tostring(customDimensions.TokenInfoId)
| summarize sum(tolong(customDimensions.TotalTokens)) by tostring(customDimensions.Caller)

customEvents
| take 3
| summarize arg_max(timestamp, customDimensions) by tostring(customDimensions.TokenInfoId)
| count

customEvents
| join kind=inner (customEvents | project timestamp, c2 = tostring(customDimensions.Caller)) on timestamp
| summarize count() by c2, tostring(customDimensions.Caller)

let few = customEvents | where tostring(customDimensions.Caller) startswith 'team-1';
few | union few | count

customEvents
| extend customDimensions = parse_json('{"Caller": "nobody"}')
| summarize count() by tostring(customDimensions.Caller)

customEvents
| extend d = customDimensions
| project tostring(d.Caller), tostring(d)

customEvents
| extend tags = parse_json(tostring(customDimensions.Tags))
| summarize sum(todouble(customDimensions.Cost)) by tostring(tags.cost_centre)

customEvents
| where name contains 'it''s 100%_' or name contains 'Calls'
| count

customEvents
| project x = tostring(customDimensions.Caller), 'kql$tostring(x)'
| take 5

customEvents
| summarize count() by tostring(customDimensions)
""".strip().split("\n\n")

UNCHANGED = {14, 15, 17, 19, 20, 22, 23, 24}
"""Those of them that run as they were translated: nothing is read of the object, it comes out of an aggregate or a
join, or another thing has its name."""


def call(number: int) -> CallRecord:
    chance = Random(number)
    kind = chance.choice(["reported", "reported", "estimated", "none"])
    used = 0 if kind == "none" else chance.randrange(1, 5000)
    return from_fields(
        call_id=f"call-{number:04}",
        started_at=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=37 * number),
        api=chance.choice(["chat_completions", "embeddings", "responses", "other"]),
        caller=chance.choice(["team-1", "team-10", "Team-2", 'a "quoted" one', None]),
        key_id=chance.choice(["8f14e45fceea167a", None]),
        deployment=chance.choice(["gpt-4o", "o3 mini", None]),
        response_model=chance.choice(["gpt-4o-2024-11-20", "  7 ", None]),
        tags=chance.choice([{}, {"cost_centre": "4711"}, {"cost_centre": "47'12", "x": "1"}]),
        status=chance.choice([200, 429, None]),
        outcome=chance.choice(["completed", "upstream_error", "client_gone"]),
        error_code=chance.choice(["rate_limit", "", None]),
        usage_source=kind,
        input_tokens=used,
        cached_input_tokens=used // 3,
        output_tokens=used // 2,
        total_tokens=used + used // 2,
        cost=chance.choice([None, Decimal(used) / 8]),
        currency=chance.choice(["EUR", None]),
        latency_ms=chance.randrange(10_000) / 4,
        first_token_ms=chance.choice([None, 1.5]),
    )


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBLedger]:
    ledger = DuckDBLedger(DuckDBFile(str(tmp_path_factory.mktemp("ledger") / "ledger.duckdb")))
    ledger.post([call(number) for number in range(400)], "test", "400")
    yield ledger
    ledger.close()


@pytest.fixture
def as_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "with_columns", lambda cursor, statement, values, translate: statement)


def rows(table: Table) -> list[str]:
    """Rows in no order; sums of floating point without their last digits, which depend on it."""
    return sorted(
        str([float(f"{cell:.9g}") if isinstance(cell, float) else cell for cell in row]) for row in table.rows
    )


LIBRARY = sorted(path.stem for path in QUERIES.glob("*.kql"))


def text_of(name: str) -> str:
    return (QUERIES / f"{name}.kql").read_text()


@pytest.mark.parametrize("text", [*map(text_of, LIBRARY), *ASKED], ids=[*LIBRARY, *map(str, range(len(ASKED)))])
def test_columns_give_what_objects_give(text: str, ledger: DuckDBLedger, request: pytest.FixtureRequest) -> None:
    over_columns = ledger.query_kql(text)
    request.getfixturevalue("as_translated")
    over_objects = ledger.query_kql(text)
    assert over_columns.columns == over_objects.columns
    assert rows(over_columns) == rows(over_objects)


@pytest.mark.parametrize("number", range(len(ASKED)))
def test_what_reads_properties_reads_columns(number: int, ledger: DuckDBLedger) -> None:
    assert ("property$" in statement(ledger, ASKED[number])) == (number not in UNCHANGED)


def test_a_property_without_a_value_is_null_and_sorts_as_null(ledger: DuckDBLedger) -> None:
    nothing = ledger.query_sql("SELECT count(*) FROM calls WHERE currency IS NULL").rows
    assert ledger.query_kql("customEvents | where isnull(customDimensions.Currency) | count").rows == nothing
    last = "customEvents | project c = customDimensions.Currency | order by c desc"
    assert [row[0] for row in ledger.query_kql(last).rows[-2:]] == [None, None]


@pytest.mark.parametrize("name", LIBRARY)
def test_the_query_library_makes_no_objects(name: str, ledger: DuckDBLedger) -> None:
    with ledger._file.cursor() as cursor:
        sql, values = sandbox.translate(cursor, text_of(name))
        plan = cursor.execute(f"EXPLAIN {sql}", values or None).fetchall()[0][1]
    assert "struct_pack" not in plan


def statement(ledger: DuckDBLedger, text: str) -> str:
    with ledger._file.cursor() as cursor:
        return sandbox.translate(cursor, text)[0]
