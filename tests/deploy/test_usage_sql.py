"""Usage in Azure SQL: the Stream Analytics query and the views, run over events as a sink writes them.

Neither Stream Analytics nor SQL Server runs here. Both texts are T-SQL that DuckDB can run once it is translated, which
shows that names fit together and that sums are right; it does not show how the services themselves read them.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
import sqlglot
from duckdb import DuckDBPyConnection
from sqlglot import expressions as exp

from support.varied_usage import varied_usage
from tokenweir.delivery.sinks.formats import SHAPES
from tokenweir.records import FlatRecord, flat_fields, from_fields

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "deploy/azure/reports"
MODULE = (ROOT / "deploy/azure/modules/stream-analytics.bicep").read_text("utf-8")
JOB = sqlglot.parse_one((REPORTS / "usage-to-sql.asaql").read_text("utf-8"), dialect="tsql", into=exp.Select)

TINY = {"cost": Decimal("0.00000012"), "currency": "USD"}
RECORDS = [
    *varied_usage(),
    from_fields(**(flat_fields(varied_usage(1)[0]) | TINY | {"call_id": "tiny", "usage_source": "reported"})),
]


def statements() -> Iterator[exp.Expr]:
    """Those of ``usage.sql``, batch by batch, without the condition on which the table is made."""
    for batch in re.split(r"^GO$", (REPORTS / "usage.sql").read_text("utf-8"), flags=re.MULTILINE):
        for statement in sqlglot.parse(re.sub(r"^IF .*$", "", batch, flags=re.MULTILINE), dialect="tsql"):
            if statement is not None:
                yield statement


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBPyConnection]:
    """The schema, with what the job makes of the hub's events."""
    events = tmp_path_factory.mktemp("hub") / "events.json"
    events.write_bytes(b"\n".join(msgspec.json.encode(SHAPES["tokenweir"](record)) for record in RECORDS))
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA dbo")
        for statement in statements():
            for constraint in list(statement.find_all(exp.Constraint)):
                constraint.pop()  # IGNORE_DUP_KEY is SQL Server's alone
            connection.execute(statement.sql("duckdb"))
        types = {name: _type(name) for name in FlatRecord.__struct_fields__}
        connection.execute(f"CREATE TABLE calls AS FROM read_json('{events}', columns = {types})")
        job = JOB.copy()
        job.set("into", None)
        connection.execute(f"INSERT INTO dbo.usage_events BY NAME {job.sql('duckdb')}")
        yield connection


def _type(field: str) -> str:
    """What Stream Analytics reads a field of an event as."""
    if field == "tags":
        return "STRUCT(cost_centre VARCHAR)"
    if field == "stream":
        return "BOOLEAN"
    if field.endswith("_ms"):
        return "DOUBLE"
    return "BIGINT" if field.endswith("_tokens") or field == "status" else "VARCHAR"


def rows(database: DuckDBPyConnection, question: str) -> list[dict[str, Any]]:
    found = database.execute(question)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_every_call_is_a_row_with_its_own_numbers(database: DuckDBPyConnection) -> None:
    found = {row["call_id"]: row for row in rows(database, "FROM dbo.fact_calls")}
    assert len(found) == len(RECORDS)
    for record in RECORDS:
        row = found[record.call_id]
        assert row["started_at"] == record.started_at.replace(tzinfo=None)
        assert (row["caller"], row["status"], row["outcome"]) == (record.caller or "", record.status, record.outcome)
        assert row["model"] == (record.response_model or record.requested_model)
        assert row["cost_centre"] == record.tags.get("cost_centre", "")
        assert (row["input_tokens"], row["total_tokens"]) == (record.usage.input_tokens, record.usage.total_tokens)
        assert (row["cost"], row["currency"]) == (record.cost, record.currency or "")
        assert (row["latency_ms"], row["first_token_ms"]) == (record.latency_ms, record.first_token_ms)


def test_the_hourly_rows_add_up_to_the_records(database: DuckDBPyConnection) -> None:
    sums: dict[tuple[datetime, str, str], list[int | Decimal]] = defaultdict(lambda: [0, 0, 0, Decimal()])
    for record in RECORDS:
        hour = record.started_at.replace(tzinfo=None, minute=0, second=0, microsecond=0)
        one = sums[hour, record.caller or "", record.deployment or ""]
        for place, amount in enumerate((1, record.status == 429, record.usage.total_tokens, record.cost or 0)):
            one[place] += amount
    found = rows(
        database,
        "SELECT hour, caller, deployment, sum(calls) AS calls, sum(throttled_calls) AS throttled, "
        "sum(total_tokens) AS tokens, sum(coalesce(cost, 0)) AS cost FROM dbo.fact_usage_hourly GROUP BY ALL",
    )
    assert {(row["hour"], row["caller"], row["deployment"]): [*row.values()][3:] for row in found} == sums


def test_each_key_in_the_facts_has_one_row_at_its_side_of_the_star(database: DuckDBPyConnection) -> None:
    for side, key in (
        ("dim_callers", "caller"),
        ("dim_models", "model"),
        ("dim_deployments", "deployment"),
        ("dim_days", "day"),
    ):
        keys = [row[key] for row in rows(database, f"FROM dbo.{side}")]
        assert len(set(keys)) == len(keys)
        for facts in ("fact_calls", "fact_usage_hourly"):
            assert set(keys) == {row[key] for row in rows(database, f"FROM dbo.{facts}")}


def test_the_job_reads_fields_that_records_have_and_fills_columns_that_the_table_has() -> None:
    fields = {column.parts[0].name for column in JOB.find_all(exp.Column)}
    assert fields <= set(FlatRecord.__struct_fields__)
    [table] = [one for one in statements() if isinstance(one, exp.Create) and one.kind == "TABLE"]
    assert JOB.named_selects == [column.name for column in table.find_all(exp.ColumnDef)]


def test_names_that_callers_and_upstreams_choose_are_cut_to_their_columns() -> None:
    """The output's policy is to wait, so one text that is too long would hold up all that come after it."""
    [table] = [one for one in statements() if isinstance(one, exp.Create) and one.kind == "TABLE"]
    sizes = {column.name: column.find(exp.DataTypeParam) for column in table.find_all(exp.ColumnDef)}
    cut = {one.alias: one.this.args["length"].sql() for one in JOB.selects if isinstance(one.this, exp.Substring)}
    assert {name: str(sizes[name]) for name in cut} == cut
    assert {"deployment", "requested_model", "operation", "response_model", "region", "error_code"} <= set(cut)


def test_a_call_that_is_delivered_twice_is_one_row() -> None:
    assert "PRIMARY KEY (call_id) WITH (IGNORE_DUP_KEY = ON)" in (REPORTS / "usage.sql").read_text("utf-8")


def test_the_job_is_deployed_with_this_query_its_input_and_its_output() -> None:
    paths = re.findall(r"loadTextContent\('([^']+)'\)", MODULE)
    jobs = ["usage-to-sql", "usage-to-cosmos", "usage-to-power-bi"]
    assert [(ROOT / "deploy/azure/modules" / path).resolve() for path in paths] == [
        REPORTS / f"{name}.asaql" for name in jobs
    ]
    names = dict(re.findall(r"var (inputName|outputName) = '([^']+)'", MODULE))
    [source] = [table.name for table in JOB.find(exp.From).find_all(exp.Table)]  # type: ignore[union-attr]
    target = JOB.args["into"].find(exp.Table).name
    assert names == {"inputName": source, "outputName": target}
    assert "table: 'usage_events'" in MODULE


def test_nobody_gets_in_with_a_password_and_the_job_may_only_receive() -> None:
    assert "azureADOnlyAuthentication: true" in MODULE
    assert re.findall(r"authenticationMode: '(\w+)'", MODULE) == ["Msi"] * 4
    assert not re.search(r"password|sharedAccess|listKeys|accountKey|connectionString", MODULE, re.IGNORECASE)
    assert re.findall(r"roles\['(.+?)'\]", MODULE) == ["Azure Event Hubs Data Receiver"]
    assert MODULE.count("roleAssignments@") == 1 and MODULE.count("sqlRoleAssignments@") == 1
    access = (REPORTS / "usage-access.sql").read_text("utf-8")
    assert re.findall(r"^GRANT (.+) TO", access, re.MULTILINE) == [
        "CONNECT",
        "SELECT, INSERT ON OBJECT::dbo.usage_events",
    ]


@pytest.mark.parametrize(
    ("name", "output"), [("usage-to-cosmos", "usage-documents"), ("usage-to-power-bi", "usage-rows")]
)
def test_other_outputs_take_every_call_and_the_same_numbers(
    database: DuckDBPyConnection, name: str, output: str
) -> None:
    job = sqlglot.parse_one((REPORTS / f"{name}.asaql").read_text("utf-8"), dialect="tsql", into=exp.Select)
    assert job.args["into"].find(exp.Table).name == output
    assert f"name: '{output}'" in MODULE
    fields = {column.parts[0].name for column in job.find_all(exp.Column)}
    assert fields <= set(FlatRecord.__struct_fields__)
    job.set("into", None)
    found = {row.get("id", row.get("call_id")): row for row in rows(database, job.sql("duckdb"))}
    assert len(found) == len(RECORDS)
    for record in RECORDS:
        row = found[record.call_id]
        assert (row["caller"], row["total_tokens"]) == (record.caller, record.usage.total_tokens or None)
        assert float(row["cost"] or 0) == pytest.approx(float(record.cost or 0))
        assert row.get("partition", record.caller or "nobody") == (record.caller or "nobody")
