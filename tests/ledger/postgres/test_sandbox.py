"""What PostgreSQL makes of what somebody typed: its own kinds of value, and the doors that have to be shut."""

from collections.abc import Callable

import psycopg
import pytest

from support.engines import PostgresEngine
from tokenweir.errors import QueryError
from tokenweir.ledger import Ledger, open_ledger
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]


def refusal(ask: Callable[[str], object], text: str) -> str:
    with pytest.raises(QueryError) as refused:
        ask(text)
    return str(refused.value)


OBJECTS = "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace ORDER BY 1"


@pytest.mark.parametrize(
    ("expression", "cell"),
    [
        ("1::smallint", 1),
        ("'NaN'::float8", None),
        ("'-Infinity'::float4", None),
        ("'NaN'::numeric", "NaN"),
        ("1e-7::numeric", "0.0000001"),
        ("NULL::numeric", None),
        ("'-infinity'::timestamptz", "-infinity"),
        ("'0044-03-15 12:00:00 BC'::timestamp", "0044-03-15 12:00:00 BC"),
        ("'123456-01-01'::date", "123456-01-01"),
        ("'08:30+02'::timetz", "08:30:00+02"),
        ("INTERVAL '1 mon 2 days'", "1 mon 2 days"),
        ("""'{"a": [1, null]}'::jsonb""", {"a": [1, None]}),
        ("ARRAY[[1, 2], [3, NULL]]", [[1, 2], [3, None]]),
        ("ARRAY[1.50, NULL]", ["1.50", None]),
        ("ARRAY['2026-03-01 08:30'::timestamp]", ["2026-03-01 08:30:00"]),
        ("ROW(1, 'a')", "(1,a)"),
        ("'ab'::bytea", "\\x6162"),
        ("'10.0.0.1'::inet", "10.0.0.1"),
        ("int4range(1, 3)", "[1, 3)"),
        ("'calls'::regclass", "calls"),
        ("point(1, 2)", "(1,2)"),
    ],
)
def test_every_kind_of_value_becomes_json(strict: Ledger, expression: str, cell: object) -> None:
    assert strict.query_sql(f"SELECT {expression} AS x").rows == [[cell]]


def test_sums_of_whole_numbers_are_whole_and_sums_of_money_are_text(strict: Ledger) -> None:
    values = "(VALUES (1::bigint, 0.5), (2, 1), (NULL, 2.25)) AS v (n, amount)"
    assert strict.query_sql(f"SELECT sum(n), sum(amount) FROM {values}").rows == [[3, "3.75"]]
    assert strict.query_sql(f"SELECT amount FROM {values}").rows == [["0.5"], ["1"], ["2.25"]]


# The second statement would run outside of the transaction that can only read.
@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1; COMMIT; SET default_transaction_read_only = off; DROP TABLE calls",
        "SELECT 1; ROLLBACK; BEGIN READ WRITE; DROP TABLE calls; COMMIT",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT query_to_xml('DROP TABLE calls', true, true, '')",
        "SELECT * INTO mine FROM calls",
        "SELECT * FROM calls FOR UPDATE",
        "SELECT nextval('some_numbers')",
        "SELECT lo_create(0)",
        "TABLE calls; DELETE FROM calls",
        "COPY calls TO STDOUT",
        "DO $$ BEGIN DELETE FROM calls; END $$",
        "SHOW server_version",
        "EXPLAIN SELECT 1",
        "LISTEN x",
        "SET statement_timeout = 0",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT * FROM pg_ls_dir('.')",
        "SELECT '\0'",
    ],
)
def test_nothing_can_be_changed_and_no_file_be_seen(
    ledger: Ledger, engine: PostgresEngine, make_call: MakeCall, text: str
) -> None:
    ledger.post([make_call(caller="ada")], "relay-1", "1")
    with engine.connect() as connection:
        connection.execute("CREATE SEQUENCE some_numbers")
        before = connection.execute(OBJECTS).fetchall()
        assert refusal(ledger.query_sql, text)
        assert connection.execute(OBJECTS).fetchall() == before
    assert [call["caller"] for call in ledger.calls()] == ["ada"]


def test_what_a_query_sets_or_locks_ends_with_it(ledger: Ledger, engine: PostgresEngine, make_call: MakeCall) -> None:
    assert ledger.query_sql("SELECT set_config('search_path', 'pg_catalog', false)").rows == [["pg_catalog"]]
    assert ledger.query_sql("SELECT pg_advisory_lock(1) IS NULL").rows == [[False]]
    assert ledger.query_sql("SELECT count(*) FROM calls").rows == [[0]]
    assert ledger.post([make_call()], "relay-1", "1") == 1
    with engine.connect() as connection:
        assert connection.execute("SELECT pg_try_advisory_lock(1)").fetchone() == (True,)


def test_a_mistake_says_where_it_is(ledger: Ledger) -> None:
    said = refusal(ledger.query_sql, "SELECT caller,\n  callr FROM calls")
    assert said == (
        'column "callr" does not exist; Perhaps you meant to reference the column "calls.caller" (line 2, column 3)'
    )
    assert refusal(ledger.query_sql, "SELECT 1 +") == "syntax error at end of input (line 1, column 11)"


def test_sql_is_not_run_as_a_superuser_but_kql_is(engine: PostgresEngine, make_call: MakeCall) -> None:
    ledger = open_ledger(engine.url.replace("tokenweir@", "postgres@"))
    ledger.post([make_call()], "relay-1", "1")
    assert "ordinary user" in refusal(ledger.query_sql, "SELECT pg_read_file('PG_VERSION')")
    assert "ordinary user" in refusal(ledger.query_sql, "SELECT 1")
    assert ledger.query_kql("calls | count").rows == [[1]]
    ledger.close()


def test_a_user_who_may_read_the_servers_files_may_not_ask_either(engine: PostgresEngine) -> None:
    with psycopg.connect(engine.server.admin_url, autocommit=True) as admin:
        admin.execute("GRANT pg_read_server_files TO tokenweir")
        try:
            ledger = engine.open()
            assert "ordinary user" in refusal(ledger.query_sql, "SELECT 1")
            ledger.close()
        finally:
            admin.execute("REVOKE pg_read_server_files FROM tokenweir")
