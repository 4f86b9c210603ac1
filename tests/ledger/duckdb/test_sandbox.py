"""What DuckDB makes of what somebody typed: every kind of value, and all the doors that have to be shut."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tokenweir.errors import QueryError
from tokenweir.ledger import Ledger
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]

ENDLESS_KQL = (
    "let n = range a from 1 to 1000000 step 1 | extend k = 1;n | join kind=inner (n) on k | summarize sum(a * a1)"
)


def refusal(ask: Callable[[str], object], text: str) -> str:
    with pytest.raises(QueryError) as refused:
        ask(text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("expression", "cell"),
    [
        ("1::UTINYINT", 1),
        ("170141183460469231731687303715884105727", 2**127 - 1),
        ("1.50", "1.50"),
        ("0.1::DOUBLE", 0.1),
        ("'NaN'::DOUBLE", None),
        ("-1e999", None),
        ("true", True),
        ("NULL", None),
        ("'it''s'", "it's"),
        ("TIMESTAMP '2026-03-01 08:30:00.5'", "2026-03-01T08:30:00.500000Z"),
        ("TIMESTAMPTZ '2026-03-01 08:30:00+02'", "2026-03-01T06:30:00.000000Z"),
        ("'2026-03-01 08:30:00'::TIMESTAMP_S", "2026-03-01T08:30:00.000000Z"),
        ("'infinity'::TIMESTAMP", "infinity"),
        ("DATE '2026-03-01'", "2026-03-01"),
        ("TIME '08:30'", "08:30:00"),
        ("INTERVAL 90 MINUTE", "01:30:00"),
        ("'6b29fc40-ca47-1067-b31d-00dd010662da'::UUID", "6b29fc40-ca47-1067-b31d-00dd010662da"),
        ("""'{"a": [1, null]}'::JSON""", {"a": [1, None]}),
        ("[1, 2]", [1, 2]),
        ("{'a': 1.5, 'b': [true]}", {"a": 1.5, "b": [True]}),
        ("MAP {'a': 1}", {"a": 1}),
        ("'ab'::BLOB", "ab"),
        ("[TIMESTAMPTZ '2026-03-01 08:30:00+02']", ["2026-03-01 06:30:00+00"]),
    ],
)
def test_every_kind_of_value_becomes_json(strict: Ledger, expression: str, cell: object) -> None:
    assert strict.query_sql(f"SELECT {expression} AS x").rows == [[cell]]


@pytest.mark.parametrize(
    "text",
    [
        "FROM range(2)",
        "VALUES (0), (1)",
        "WITH a AS (SELECT unnest([0, 1])) TABLE a -- all of it",
        "(SELECT 0) UNION SELECT 1",
    ],
)
def test_whatever_reads_may_be_asked(strict: Ledger, text: str) -> None:
    assert sorted(strict.query_sql(text).rows) == [[0], [1]]


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM calls",
        "INSERT INTO positions VALUES ('x', 'y')",
        "UPDATE calls SET caller = 'mallory'",
        "DROP TABLE calls",
        "CREATE TABLE mine (a INT)",
        "CREATE TEMP TABLE mine (a INT)",
        "COPY calls TO '{tmp}/stolen.csv'",
        "EXPORT DATABASE '{tmp}/stolen'",
        "ATTACH '{tmp}/other.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "SET max_execution_time = 0",
        "RESET lock_configuration",
        "PRAGMA database_size",
        "CALL force_checkpoint()",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "COMMIT",
        "PREPARE mine AS SELECT 1",
        "PIVOT calls ON api",
        "EXPLAIN ANALYZE DELETE FROM calls",
        "",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE calls",
        "COMMIT; DROP TABLE calls",
        "WITH gone AS (DELETE FROM calls RETURNING *) SELECT * FROM gone",
        "SELECT * FROM query('DELETE FROM calls')",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_csv('{tmp}/secret.csv')",
        "SELECT * FROM '{tmp}/secret.csv'",
        "SELECT * FROM glob('{tmp}/*')",
        "SELECT * FROM sniff_csv('{tmp}/secret.csv')",
        "SELECT * FROM 'https://example.org/data.csv'",
        "SELECT * FROM duckdb_secrets()",
        "SELECT getenv('PATH')",
    ],
)
def test_nothing_can_be_changed_and_nothing_outside_be_seen(
    ledger: Ledger, make_call: MakeCall, tmp_path: Path, text: str
) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    ledger.post([make_call(caller="ada")], "relay-1", "1")
    before = sorted(path.name for path in tmp_path.iterdir())
    tables = ledger.query_sql("SHOW TABLES").rows

    assert refusal(ledger.query_sql, text.format(tmp=tmp_path))

    assert [call["caller"] for call in ledger.calls()] == ["ada"]
    assert ledger.position("x") is None
    assert ledger.query_sql("SHOW TABLES").rows == tables
    assert ledger.query_sql("SELECT current_setting('max_execution_time') > 0").rows == [[True]]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_mistakes_are_explained(ledger: Ledger) -> None:
    assert '"caller"' in refusal(ledger.query_sql, "SELECT callr FROM calls")
    assert "LINE 1" in refusal(ledger.query_sql, "SELEC 1")
    assert "read-only" in refusal(ledger.query_sql, "WITH a AS (DELETE FROM calls RETURNING *) SELECT * FROM a")
    assert "files" in refusal(ledger.query_sql, "SELECT * FROM read_text('x')")


def test_kql_that_takes_too_long_is_stopped(strict: Ledger) -> None:
    assert "longer than 0.2 s" in refusal(strict.query_kql, ENDLESS_KQL)
    assert strict.query_sql("SELECT 1").rows == [[1]]


def test_a_query_that_wants_too_much_memory_is_stopped(ledger: Ledger) -> None:
    assert "memory" in refusal(ledger.query_sql, "SELECT list(range) FROM range(1000000000)")
    assert ledger.query_sql("SELECT 1").rows == [[1]]


def test_tables_beside_the_calls_can_be_asked_in_kql(ledger: Ledger) -> None:
    ledger.post([], "relay-1", "1")
    assert ledger.query_kql("positions | project position").rows == [["1"]]
