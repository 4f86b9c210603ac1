"""What ClickHouse makes of what somebody typed: its own kinds of value, and the doors that have to be shut."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from support.engines import ClickHouseEngine
from tokenweir.errors import QueryError
from tokenweir.ledger import Ledger
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]


def refusal(ask: Callable[[str], object], text: str) -> str:
    with pytest.raises(QueryError) as refused:
        ask(text)
    return str(refused.value)


TABLES = "SELECT arraySort(groupArray(name)) FROM system.tables WHERE database = currentDatabase()"


@pytest.mark.parametrize(
    ("expression", "cell"),
    [
        ("toInt128('170141183460469231731687303715884105727')", 2**127 - 1),
        ("18446744073709551615", 2**64 - 1),
        ("1.5", 1.5),
        ("nan", None),
        ("-inf", None),
        ("toDecimal64('1.50', 4)", "1.5000"),
        ("CAST(NULL AS Nullable(Decimal(38, 12)))", None),
        ("toDateTime('2026-03-01 08:30:00', 'Asia/Tokyo')", "2026-02-28T23:30:00.000000Z"),
        ("toDateTime64('2026-03-01 08:30:00.5', 3, 'UTC')", "2026-03-01T08:30:00.500000Z"),
        ("toDateTime64('2026-03-01 08:30:00.123456789', 9, 'UTC')", "2026-03-01T08:30:00.123456Z"),
        ("CAST(NULL AS Nullable(DateTime64(6, 'UTC')))", None),
        ("toDate('2026-03-01')", "2026-03-01"),
        ("INTERVAL 2 DAY", 2),
        ("[1, NULL, 3]", [1, None, 3]),
        ("[toDecimal32('1.5', 1)]", ["1.5"]),
        ("map('a', 1, 'b', NULL)", {"a": 1, "b": None}),
        ("(1, 'a')", [1, "a"]),
        ("toIPv4('10.0.0.1')", "10.0.0.1"),
        ("toLowCardinality('x')", "x"),
    ],
)
def test_every_kind_of_value_becomes_json(brief: Ledger, expression: str, cell: object) -> None:
    assert brief.query_sql(f"SELECT {expression} AS x").rows == [[cell]]


def test_sums_of_whole_numbers_are_whole_and_sums_of_money_are_text(ledger: Ledger, make_call: MakeCall) -> None:
    ledger.post(
        [make_call(total_tokens=2**62, cost=Decimal(1)), make_call(cost=Decimal(2)), make_call()], "relay-1", "1"
    )
    assert ledger.query_sql("SELECT sum(total_tokens), sum(cost) FROM calls").rows == [[2**62, "3.000000000000"]]


def test_tags_and_reasons_are_values_and_usage_is_text(ledger: Ledger, make_call: MakeCall) -> None:
    ledger.post([make_call(tags={"b": "1", "a": "2"}, finish_reasons=["stop"], usage={"n": 3})], "relay-1", "1")
    table = ledger.query_sql("SELECT tags, tags['a'], finish_reasons, usage, JSONExtractInt(usage, 'n') FROM calls")
    assert table.rows == [[{"b": "1", "a": "2"}, "2", ["stop"], '{"n":3}', 3]]


# Where a question could leave its place: other statements, other servers, files, programs, and the limits themselves.
@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1) SETTINGS limit = 0 --",
        "SET readonly = 0",
        "SET max_execution_time = 0",
        "USE system",
        "KILL QUERY WHERE 1",
        "SYSTEM FLUSH LOGS",
        "SYSTEM SHUTDOWN",
        "SHOW TABLES",
        "SHOW GRANTS",
        "DESCRIBE calls",
        "EXPLAIN SELECT 1",
        "OPTIMIZE TABLE posted_calls FINAL",
        "ALTER TABLE posted_calls DELETE WHERE 1",
        "TRUNCATE TABLE posted_calls",
        "INSERT INTO posted_positions VALUES ('x', 'y')",
        "INSERT INTO posted_positions SELECT 'x', 'y'",
        "INSERT INTO FUNCTION file('{out}', 'CSV') SELECT 1",
        "INSERT INTO FUNCTION url('http://127.0.0.1:1/', 'CSV', 'a Int8') SELECT 1",
        "SELECT 1 INTO OUTFILE '{out}'",
        "SELECT 1) INTO OUTFILE '{out}' --",
        "SELECT 1 FORMAT CSV",
        "SELECT 1) FORMAT CSV --",
        "SELECT 1) INTO OUTFILE '{out}' FORMAT CSV; SELECT (1",
        "SELECT 1); DROP TABLE posted_calls; SELECT (1",
        "SELECT 1 /*",
        "SELECT 1); INSERT INTO posted_positions VALUES ('x', 'y') --",
        "CREATE TEMPORARY TABLE mine (a Int8)",
        "CREATE FUNCTION mine AS (x) -> x",
        "CREATE USER mallory",
        "GRANT ALL ON *.* TO default",
        "EXECUTE AS default SELECT 1",
        "BACKUP TABLE posted_calls TO File('{out}')",
        "ATTACH TABLE mine (a Int8) ENGINE = MergeTree ORDER BY a",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString') SETTINGS readonly = 0",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString') SETTINGS readonly = 2",
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/key', 'LineAsString')",
        "SELECT * FROM s3Cluster('default', 'http://127.0.0.1:1/bucket/key', 'LineAsString')",
        "SELECT * FROM azureBlobStorage('http://127.0.0.1:1/', 'c', 'b', 'a', 'a2V5', 'CSV', 'auto', 'a Int8')",
        "SELECT * FROM hdfs('hdfs://127.0.0.1:1/x', 'CSV', 'a Int8')",
        "SELECT * FROM remote('127.0.0.1:1', system.one)",
        "SELECT * FROM remoteSecure('127.0.0.1:1', system.one)",
        "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
        "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
        "SELECT * FROM mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'a Int8')",
        "SELECT * FROM redis('127.0.0.1:1', 'a', 'a String, b String')",
        "SELECT * FROM sqlite('/tmp/x.db', 'y')",
        "SELECT * FROM executable('x.sh', 'TSV', 'a String')",
        "SELECT * FROM filesystem('/etc')",
        "SELECT * FROM deltaLake('http://127.0.0.1:1/bucket/')",
        "SELECT * FROM iceberg('http://127.0.0.1:1/bucket/')",
        "SELECT * FROM hudi('http://127.0.0.1:1/bucket/')",
        "SELECT * FROM dictionary('mine')",
        "SELECT * FROM loop(posted_calls)",
        "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT 1))",
        "SELECT * FROM `/etc/hostname`",
        "SELECT dictGet('mine', 'a', 1)",
        "SELECT * FROM system.users",
        "SELECT * FROM system.zookeeper WHERE path = '/'",
        "SELECT addressToLine(1)",
        "SELECT {x:String}",
    ],
)
def test_nothing_can_be_changed_and_nothing_else_be_reached(
    ledger: Ledger, engine: ClickHouseEngine, make_call: MakeCall, tmp_path: Path, text: str
) -> None:
    ledger.post([make_call(caller="ada")], "relay-1", "1")
    with engine.connect() as connection:
        before = connection.execute(TABLES).fetchone()
    assert refusal(ledger.query_sql, text.replace("{out}", f"{tmp_path}/out"))
    assert list(tmp_path.iterdir()) == []
    assert [call["caller"] for call in ledger.calls()] == ["ada"]
    assert ledger.position("x") is None
    with engine.connect() as connection:
        assert connection.execute(TABLES).fetchone() == before


LOOSENED = "SETTINGS readonly = 0, max_execution_time = 0, limit = 0"


def test_settings_in_a_text_do_not_loosen_what_it_may_do(brief: Ledger) -> None:
    got = "SELECT getSetting('readonly'), getSetting('max_execution_time')"
    assert brief.query_sql(f"{got} {LOOSENED}").rows == [[1, 60.0]]
    assert len(brief.query_sql(f"SELECT number FROM numbers(9) {LOOSENED}").rows) == 3


def test_settings_in_a_text_do_not_give_it_more_time(strict: Ledger, engine: ClickHouseEngine) -> None:
    assert "longer than 0.2 s" in refusal(strict.query_sql, f"{engine.endless} {LOOSENED}")


def test_rows_are_limited_wherever_a_text_ends(brief: Ledger) -> None:
    for text in ("SELECT number FROM numbers(9)", "SELECT 1) UNION ALL SELECT * FROM (SELECT number FROM numbers(9)"):
        table = brief.query_sql(text)
        assert len(table.rows) == 3
        assert table.note is not None
    assert brief.query_sql("SELECT number FROM numbers(9) ORDER BY number DESC LIMIT 2").rows == [[8], [7]]


def test_a_mistake_says_where_it_is(ledger: Ledger) -> None:
    assert refusal(ledger.query_sql, "SELECT caller,\n  , 1 FROM calls") == "syntax error at 1 (line 2, column 5)"
    said = refusal(ledger.query_sql, "SELECT callr FROM calls")
    assert said.startswith("Unknown expression identifier `callr`")
    assert "'caller'" in said
    assert "version" not in said and "http" not in said
    assert refusal(ledger.query_sql, "DROP TABLE calls").startswith("only SELECT can be run here: syntax error at")
    assert "Multi-statements are not allowed" in refusal(ledger.query_sql, "SELECT 1); SELECT (2")
