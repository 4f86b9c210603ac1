"""What somebody typed is answered, or refused in words, and changes nothing."""

import threading
from collections.abc import Callable

import pytest

from support.engines import TRANSACTIONAL, Engine
from tokenweir.errors import QueryError
from tokenweir.ledger import Ledger
from tokenweir.ledger.limits import AT_ONCE, Limits
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]


def numbers(stop: int) -> str:
    """A SELECT of the numbers below ``stop``, which is at most 32,768, in SQL that every engine speaks."""
    bits = [f"{2**bit} * b{bit}.n" for bit in range(15)]
    joined = ", ".join(f"bits b{bit}" for bit in range(15))
    return (
        f"WITH bits AS (SELECT 0 AS n UNION ALL SELECT 1) "
        f"SELECT n FROM (SELECT {' + '.join(bits)} AS n FROM {joined}) AS many WHERE n < {stop} ORDER BY n"
    )


def refusal(ask: Callable[[str], object], text: str) -> str:
    with pytest.raises(QueryError) as refused:
        ask(text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("expression", "cell"),
    [
        ("CAST(1.50 AS DECIMAL(10, 2))", "1.50"),
        ("CAST(1.25 AS DOUBLE PRECISION)", 1.25),
        ("true", True),
        ("NULL", None),
        ("'it''s'", "it's"),
        ("TIMESTAMP '2026-03-01 08:30:00'", "2026-03-01T08:30:00.000000Z"),
        ("DATE '2026-03-01'", "2026-03-01"),
        ("CAST('6b29fc40-ca47-1067-b31d-00dd010662da' AS UUID)", "6b29fc40-ca47-1067-b31d-00dd010662da"),
        ("""CAST('{"a": [1, null]}' AS JSON)""", {"a": [1, None]}),
    ],
)
def test_a_value_becomes_the_same_json_in_every_engine(brief: Ledger, expression: str, cell: object) -> None:
    assert brief.query_sql(f"SELECT {expression} AS x").rows == [[cell]]


# ClickHouse has other words for these, or no such values; see clickhouse/test_sandbox.py.
@pytest.mark.parametrize("engine", TRANSACTIONAL, indirect=True)
@pytest.mark.parametrize(
    ("expression", "cell"),
    [
        ("170141183460469231731687303715884105727", 2**127 - 1),
        ("1.50", "1.50"),
        ("CAST(NULL AS DOUBLE PRECISION)", None),
        ("TIMESTAMP '2026-03-01 08:30:00.5'", "2026-03-01T08:30:00.500000Z"),
        ("CAST('2026-03-01 08:30:00+02' AS TIMESTAMP WITH TIME ZONE)", "2026-03-01T06:30:00.000000Z"),
        ("CAST('infinity' AS TIMESTAMP)", "infinity"),
        ("TIME '08:30'", "08:30:00"),
        ("CAST('01:30:00' AS INTERVAL)", "01:30:00"),
        ("ARRAY[1, 2]", [1, 2]),
    ],
)
def test_a_value_of_standard_sql_becomes_the_same_json(brief: Ledger, expression: str, cell: object) -> None:
    assert brief.query_sql(f"SELECT {expression} AS x").rows == [[cell]]


def test_columns_keep_their_names_and_rows_their_order(brief: Ledger) -> None:
    table = brief.query_sql(
        f"SELECT n, 'x' AS m, now() > '2020-01-01' AS \"a b\" FROM ({numbers(3)}) t ORDER BY 1 DESC;"
    )
    assert table.columns == ["n", "m", "a b"]
    assert table.rows == [[2, "x", True], [1, "x", True], [0, "x", True]]
    assert table.note is None


@pytest.mark.parametrize("engine", TRANSACTIONAL, indirect=True)
def test_a_name_may_be_that_of_two_columns(brief: Ledger) -> None:
    table = brief.query_sql("SELECT 1 AS n, 'x' AS n")
    assert (table.columns, table.rows) == (["n", "n"], [[1, "x"]])


def test_no_rows_are_an_answer_too(brief: Ledger) -> None:
    table = brief.query_sql("SELECT call_id, cost FROM calls")
    assert (table.columns, table.rows) == (["call_id", "cost"], [])


@pytest.mark.parametrize(
    "text",
    [
        "VALUES (0), (1)",
        "WITH a AS (SELECT 0 UNION SELECT 1) SELECT * FROM a -- all of it",
        "(SELECT 0) UNION SELECT 1",
        "select 0 union select 1;",
    ],
)
def test_whatever_reads_may_be_asked(brief: Ledger, text: str) -> None:
    assert sorted(brief.query_sql(text).rows) == [[0], [1]]


def test_more_rows_than_shown_are_said_to_exist(brief: Ledger) -> None:
    assert brief.query_sql(numbers(3)).note is None
    table = brief.query_sql(numbers(1000))
    assert table.rows == [[0], [1], [2]]
    assert table.note is not None
    assert "first 3 rows" in table.note


def test_the_ledgers_own_limit_on_rows(ledger: Ledger) -> None:
    most = Limits().rows or 0
    assert len(ledger.query_sql(numbers(most + 1)).rows) == most


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM calls",
        "INSERT INTO positions VALUES ('x', 'y')",
        "UPDATE calls SET caller = 'mallory'",
        "DROP TABLE calls",
        "CREATE TABLE mine (a INT)",
        "CREATE TEMP TABLE mine (a INT)",
        "VACUUM",
        "BEGIN",
        "COMMIT",
        "PREPARE mine AS SELECT 1",
        "EXPLAIN ANALYZE DELETE FROM calls",
        "",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE calls",
        "SELECT 1; COMMIT; DROP TABLE calls",
        "COMMIT; DROP TABLE calls",
        "WITH gone AS (DELETE FROM calls RETURNING *) SELECT * FROM gone",
    ],
)
def test_nothing_can_be_changed(ledger: Ledger, make_call: MakeCall, text: str) -> None:
    ledger.post([make_call(caller="ada")], "relay-1", "1")
    tables = "SELECT table_name FROM information_schema.tables WHERE table_name NOT LIKE 'pg_%' ORDER BY 1"
    before = ledger.query_sql(tables).rows

    assert refusal(ledger.query_sql, text)

    assert [call["caller"] for call in ledger.calls()] == ["ada"]
    assert ledger.position("x") is None
    assert ledger.query_sql(tables).rows == before


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


def test_mistakes_are_explained(ledger: Ledger) -> None:
    assert "caller" in refusal(ledger.query_sql, "SELECT callr FROM calls")
    in_kql = refusal(ledger.query_kql, "calls | where callr == 'ada'")
    assert '"caller"' in in_kql
    assert "LINE" not in in_kql
    assert refusal(ledger.query_kql, "calls | whre 1") == "KQL: could not parse KQL at 1:6: mismatched input '|'"
    assert "only SELECT" in refusal(ledger.query_sql, "DELETE FROM calls")


def test_a_query_that_takes_too_long_is_stopped(strict: Ledger, engine: Engine) -> None:
    assert "longer than 0.2 s" in refusal(strict.query_sql, engine.endless)
    assert strict.query_sql("SELECT 1").rows == [[1]]


def test_kql_that_doubles_with_every_line_is_stopped(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenweir.ledger.duckdb.sandbox.TRANSLATION_SECONDS", 0.3)
    lines = [f"let a{n + 1} = a{n} + a{n};" for n in range(30)]
    assert "make it simpler" in refusal(ledger.query_kql, "let a0 = 1;" + "".join(lines) + "print a30")
    assert ledger.query_kql("print 1").rows == [[1]]


def test_only_a_few_run_at_once(strict: Ledger, engine: Engine) -> None:
    outcomes: list[str] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(refusal(strict.query_sql, engine.endless)))
        for _ in range(3 * AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any("still running" in outcome for outcome in outcomes)
    assert strict.query_sql("SELECT 1").rows == [[1]]


def test_values_in_kql_are_real_values(ledger: Ledger, make_call: MakeCall) -> None:
    ledger.post([make_call(tags={"cost_centre": "4711"}, usage={"prompt_tokens": 3})], "relay-1", "1")
    table = ledger.query_kql("calls | project started_at, tags, centre = tags.cost_centre, n = usage.prompt_tokens")
    assert table.rows == [["2026-03-01T00:00:00.000000Z", {"cost_centre": "4711"}, "4711", 3]]


def test_declared_parameters_may_have_defaults(ledger: Ledger) -> None:
    assert ledger.query_kql("declare query_parameters(x: int = 5); print x").rows == [[5]]
