"""What somebody typed is answered, or refused in words, and changes nothing."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tokenweir.errors import QueryError
from tokenweir.ledger import Ledger, LedgerError
from tokenweir.ledger.duckdb_file import DuckDBFile
from tokenweir.ledger.sandbox import AT_ONCE, ROWS, Sandbox
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"

ENDLESS_KQL = (
    "let n = range a from 1 to 1000000 step 1 | extend k = 1;n | join kind=inner (n) on k | summarize sum(a * a1)"
)


@pytest.fixture
def strict() -> Iterator[Sandbox]:
    """One that has little patience and shows little."""
    file = DuckDBFile(":memory:")
    yield Sandbox(file.cursor, seconds=0.2, rows=3)
    file.close()


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
def test_every_kind_of_value_becomes_json(strict: Sandbox, expression: str, cell: object) -> None:
    assert strict.sql(f"SELECT {expression} AS x").rows == [[cell]]


def test_columns_keep_their_names_and_rows_their_order(strict: Sandbox) -> None:
    table = strict.sql("SELECT range AS n, 'x' AS n, now() > '2020-01-01' AS \"a b\" FROM range(3) ORDER BY 1 DESC;")
    assert table.columns == ["n", "n", "a b"]
    assert table.rows == [[2, "x", True], [1, "x", True], [0, "x", True]]
    assert table.note is None


@pytest.mark.parametrize(
    "text",
    [
        "FROM range(2)",
        "VALUES (0), (1)",
        "WITH a AS (SELECT unnest([0, 1])) TABLE a -- all of it",
        "(SELECT 0) UNION SELECT 1",
    ],
)
def test_whatever_reads_may_be_asked(strict: Sandbox, text: str) -> None:
    assert sorted(strict.sql(text).rows) == [[0], [1]]


def test_more_rows_than_shown_are_said_to_exist(strict: Sandbox) -> None:
    assert strict.sql("SELECT * FROM range(3)").note is None
    table = strict.sql("SELECT * FROM range(1000000000)")
    assert table.rows == [[0], [1], [2]]
    assert table.note is not None
    assert "first 3 rows" in table.note


def test_the_ledgers_own_limit_on_rows(ledger: Ledger) -> None:
    assert len(ledger.query_sql(f"SELECT * FROM range({ROWS + 1})").rows) == ROWS


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

    assert refusal(ledger.query_sql, text.format(tmp=tmp_path))

    assert [call["caller"] for call in ledger.calls()] == ["ada"]
    assert ledger.position("x") is None
    assert ledger.query_sql("SHOW TABLES").rows == [
        ["calls"],
        ["contents"],
        ["customEvents"],
        ["migrations"],
        ["positions"],
    ]
    assert ledger.query_sql("SELECT current_setting('max_execution_time') > 0").rows == [[True]]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "text",
    [
        ".drop table calls",
        ".create table mine (a: int)",
        ".set mine <| calls",
        ".append calls <| calls",
        ".attach database other",
        "externaldata (a: string) ['/etc/hostname']",
        "cluster('other').database('x').calls",
        "calls | take 1; calls | take 2",
        "",
        "// nothing",
        "declare query_parameters(x: int); print x",
        "calls | where " + "(" * 200 + "true" + ")" * 200,
    ],
)
def test_kql_that_is_more_than_a_question_is_refused(ledger: Ledger, text: str) -> None:
    assert refusal(ledger.query_kql, text).startswith("KQL: ")


def test_a_name_means_a_table_and_no_variable_of_the_program() -> None:
    file = DuckDBFile(":memory:")
    with pytest.raises(LedgerError, match="Table with name private does not exist"), file.cursor() as cursor:
        private = cursor.sql("SELECT 'known to this program only'")
        assert private.columns
        cursor.sql("SELECT * FROM private")
    file.close()


def test_mistakes_are_explained(ledger: Ledger) -> None:
    assert '"caller"' in refusal(ledger.query_sql, "SELECT callr FROM calls")
    assert "LINE 1" in refusal(ledger.query_sql, "SELEC 1")
    in_kql = refusal(ledger.query_kql, "calls | where callr == 'ada'")
    assert '"caller"' in in_kql
    assert "LINE" not in in_kql
    assert refusal(ledger.query_kql, "calls | whre 1") == "KQL: could not parse KQL at 1:6: mismatched input '|'"
    assert "only SELECT" in refusal(ledger.query_sql, "DELETE FROM calls")
    assert "read-only" in refusal(ledger.query_sql, "WITH a AS (DELETE FROM calls RETURNING *) SELECT * FROM a")
    assert "files" in refusal(ledger.query_sql, "SELECT * FROM read_text('x')")


def test_a_query_that_takes_too_long_is_stopped(strict: Sandbox) -> None:
    assert "longer than 0.2 s" in refusal(strict.sql, ENDLESS)
    assert "longer than 0.2 s" in refusal(strict.kql, ENDLESS_KQL)
    assert strict.sql("SELECT 1").rows == [[1]]


def test_a_query_that_wants_too_much_memory_is_stopped(ledger: Ledger) -> None:
    assert "memory" in refusal(ledger.query_sql, "SELECT list(range) FROM range(1000000000)")
    assert ledger.query_sql("SELECT 1").rows == [[1]]


def test_kql_that_doubles_with_every_line_is_stopped(strict: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenweir.ledger.sandbox.TRANSLATION_SECONDS", 0.3)
    lines = [f"let a{n + 1} = a{n} + a{n};" for n in range(30)]
    assert "make it simpler" in refusal(strict.kql, "let a0 = 1;" + "".join(lines) + "print a30")
    assert strict.kql("print 1").rows == [[1]]


def test_only_a_few_run_at_once(strict: Sandbox) -> None:
    outcomes: list[str] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(refusal(strict.sql, ENDLESS))) for _ in range(3 * AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any("still running" in outcome for outcome in outcomes)
    assert strict.sql("SELECT 1").rows == [[1]]


def test_values_in_kql_are_real_values(ledger: Ledger, make_call: MakeCall) -> None:
    ledger.post([make_call(tags={"cost_centre": "4711"}, usage={"prompt_tokens": 3})], "relay-1", "1")
    table = ledger.query_kql("calls | project started_at, tags, centre = tags.cost_centre, n = usage.prompt_tokens")
    assert table.rows == [["2026-03-01T00:00:00.000000Z", {"cost_centre": "4711"}, "4711", 3]]


def test_declared_parameters_may_have_defaults(ledger: Ledger) -> None:
    assert ledger.query_kql("declare query_parameters(x: int = 5); print x").rows == [[5]]
