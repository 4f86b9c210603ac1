"""Creating, upgrading and refusing ledgers."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from support.engines import Engine
from tokenweir.errors import ConfigError
from tokenweir.ledger import Ledger, check_url, ledger_file, open_ledger
from tokenweir.records import CallRecord, FlatRecord, from_flat

MakeCall = Callable[..., CallRecord]

OLD_EVENT = """started_at AS "timestamp", CAST('old' AS text) AS "name", CAST('{}' AS json) AS "customDimensions" """
MAKE_MIGRATIONS = "CREATE TABLE migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at TIMESTAMP)"


def columns(ledger: Ledger, table: str) -> set[str]:
    return set(ledger.query_sql(f"SELECT * FROM {table}").columns)


def test_every_field_of_a_record_has_its_column(ledger: Ledger) -> None:
    fields = set(FlatRecord.__struct_fields__)
    contents = {"request_body", "response_body", "trace"}
    assert columns(ledger, "calls") == fields - contents | {"seal"}
    assert columns(ledger, "contents") == contents | {"call_id"}


@pytest.mark.parametrize(
    "url", ["mysql://host/db", "ledger.duckdb", "duckdb:", "", "postgresql:db", "clickhouse:db", "None"]
)
def test_an_unknown_kind_of_ledger_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="write it like duckdb:"):
        check_url(url)
    with pytest.raises(ConfigError, match=r"ledger\.url is no ledger"):
        open_ledger(url)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ada:hunter2@host/db",
        "postgresql://ada:hunter2@host/db?colour=hunter2",
        "clickhouse://ada:hunter2@host/db?colour=hunter2",
        "clickhouse://ada:hunter2@host:hunter2/db",
    ],
)
def test_a_refused_address_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_ledger(url)
    assert "hunter2" not in str(refused.value)


def test_no_ledger_is_an_address_that_cannot_be_opened() -> None:
    check_url("none")
    with pytest.raises(ConfigError, match="no ledger is kept here"):
        open_ledger("none")


def test_only_a_file_is_a_file() -> None:
    assert ledger_file("duckdb:a/b.duckdb") == "a/b.duckdb"
    assert ledger_file("postgresql://host/db") is None
    assert ledger_file("clickhouse://host/db") is None
    assert ledger_file("none") is None


# Every engine has the same number of them.
@pytest.mark.parametrize("number", range(16))
def test_a_ledger_of_an_older_program_is_brought_up_to_date(engine: Engine, number: int) -> None:
    with engine.connect_alone() as old:
        old.execute(MAKE_MIGRATIONS)
        for done, step in enumerate(engine.migrations[:number], start=1):
            step(old)
            old.execute(f"INSERT INTO migrations VALUES ({done}, '{step.__name__}', now())")
        if number:
            calls = engine.rows_of.format("calls")
            old.execute(f"INSERT INTO {calls} (call_id, started_at, caller) VALUES ('old', now(), 'ada')")
    ledger = engine.open()
    shown = ["caller", "cache_write_tokens", "tool_calls", "service_tier"]
    old_call: list[Any] = ["ada", 0, {}, None]
    assert [[call[name] for name in shown] for call in ledger.calls()] == ([old_call] if number else [])
    applied = ledger.query_sql("SELECT number, name FROM migrations ORDER BY number").rows
    assert applied == [[n, step.__name__] for n, step in enumerate(engine.migrations, start=1)]
    assert ledger.query_kql("customEvents | count").rows == [[1 if number else 0]]
    ledger.close()


def test_all_migrations_are_tried(engine: Engine) -> None:
    assert len(engine.migrations) == 16


def test_seconds_of_audio_that_an_older_program_kept_are_a_quantity(engine: Engine) -> None:
    with engine.connect_alone() as old:
        old.execute(MAKE_MIGRATIONS)
        for done, step in enumerate(engine.migrations[:7], start=1):
            step(old)
            old.execute(f"INSERT INTO migrations VALUES ({done}, '{step.__name__}', now())")
        calls = engine.rows_of.format("calls")
        for call_id, seconds in (("a", 8.47), ("b", 0.0), ("c", 9.0)):
            columns = "(call_id, started_at, input_audio_seconds)"
            old.execute(f"INSERT INTO {calls} {columns} VALUES ('{call_id}', now(), {seconds})")
    ledger = engine.open()
    quantities = {call["call_id"]: call["quantities"] for call in ledger.calls()}
    heard = {name: told["input_audio_seconds"] for name, told in quantities.items() if told}
    assert {name: (Decimal(told.amount), told.source) for name, told in heard.items()} == {
        "a": (Decimal("8.47"), "reported"),
        "c": (Decimal(9), "reported"),
    }
    ledger.close()


def test_a_view_that_another_program_has_made_is_made_again(engine: Engine, make_call: MakeCall) -> None:
    """A new surface has a name in ``customEvents`` without a migration."""
    engine.open().close()
    with engine.connect_alone() as other:
        other.execute('DROP VIEW "customEvents"')
        other.execute(f'CREATE VIEW "customEvents" AS SELECT {OLD_EVENT} FROM calls')
    ledger = engine.open()
    ledger.post([make_call(api="chat_completions")], "relay-1", "1")
    [[_, name, event]] = ledger.query_sql('SELECT * FROM "customEvents"').rows
    assert (name, event["ApiOperation"]) == ("Azure OpenAI Calls", "ChatCompletion")
    ledger.close()


def test_a_ledger_of_a_newer_program_is_refused_and_can_still_be_used_by_it(engine: Engine) -> None:
    engine.open().close()
    with engine.connect_alone() as newer:
        newer.execute("INSERT INTO migrations VALUES (99, '_99_from_the_future', now())")
    with pytest.raises(ConfigError, match=r"format 99 .* upgrade"):
        engine.open()
    with engine.connect_alone() as newer:
        assert newer.execute("SELECT max(number) FROM migrations").fetchone() == (99,)


def test_an_old_record_still_fits(ledger: Ledger) -> None:
    oldest = b'{"call_id": "1", "started_at": "2026-01-01T00:00:00Z"}'
    assert ledger.post([from_flat(msgspec.json.decode(oldest, type=FlatRecord))], "relay-1", "1") == 1
