"""Finding, creating, upgrading and refusing ledgers."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import msgspec
import pytest

from tokenweir.errors import ConfigError
from tokenweir.ledger import Ledger, LedgerLocked, open_ledger
from tokenweir.ledger.migrations import MIGRATIONS
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]

HOLD = "import sys; from tokenweir.ledger import open_ledger; l = open_ledger(sys.argv[1]); print(); sys.stdin.read()"


def columns(ledger: Ledger, table: str) -> set[str]:
    return {row[0] for row in ledger.query_sql(f"DESCRIBE {table}").rows}


def test_every_field_of_a_record_has_its_column(ledger: Ledger) -> None:
    fields = set(CallRecord.__struct_fields__)
    bodies = {"request_body", "response_body"}
    assert columns(ledger, "calls") == fields - bodies
    assert columns(ledger, "contents") == bodies | {"call_id"}


def test_the_directory_is_made_and_is_its_owners_alone(tmp_path: Path) -> None:
    open_ledger(f"duckdb:{tmp_path}/new/books/ledger.duckdb").close()
    assert (tmp_path / "new/books").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("url", ["postgresql://host/db", "ledger.duckdb", "duckdb:", ""])
def test_an_unknown_kind_of_ledger_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="known kinds: duckdb"):
        open_ledger(url)


def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("dear diary" * 1000)
    with pytest.raises(ConfigError, match="notes cannot be opened"):
        open_ledger(f"duckdb:{tmp_path}/notes")
    assert (tmp_path / "notes").read_text() == "dear diary" * 1000


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_ledger(f"duckdb:{tmp_path}/taken/ledger.duckdb")


def test_a_ledger_that_another_process_has_open_names_that_process(place: str) -> None:
    command = [sys.executable, "-c", HOLD, f"duckdb:{place}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        with pytest.raises(LedgerLocked) as locked:
            open_ledger(f"duckdb:{place}")
        assert str(holder.pid) in locked.value.holder
        assert "admin port" in str(locked.value)
        holder.communicate()
    open_ledger(f"duckdb:{place}").close()


def test_a_ledger_that_is_open_here_is_not_opened_again(ledger: Ledger, place: str, make_call: MakeCall) -> None:
    with pytest.raises(LedgerLocked) as locked:
        open_ledger(f"duckdb:{place}")
    assert str(os.getpid()) in locked.value.holder
    assert ledger.post([make_call()], "relay-1", "1") == 1


@pytest.mark.parametrize("number", range(len(MIGRATIONS)))
def test_a_ledger_of_an_older_program_is_brought_up_to_date(place: str, number: int) -> None:
    with duckdb.connect(place) as old:
        old.execute("CREATE TABLE migrations (number BIGINT PRIMARY KEY, name VARCHAR, applied_at TIMESTAMP)")
        for done, step in enumerate(MIGRATIONS[:number], start=1):
            step(old)
            old.execute("INSERT INTO migrations VALUES (?, ?, now())", [done, step.__name__])
        if number:
            old.execute("INSERT INTO calls (call_id, started_at, caller) VALUES ('old', now(), 'ada')")
    ledger = open_ledger(f"duckdb:{place}")
    assert [call["caller"] for call in ledger.calls()] == (["ada"] if number else [])
    applied = ledger.query_sql("SELECT number, name FROM migrations ORDER BY number").rows
    assert applied == [[n, step.__name__] for n, step in enumerate(MIGRATIONS, start=1)]
    assert ledger.query_kql("customEvents | count").rows == [[0]]
    ledger.close()


def test_a_ledger_of_a_newer_program_is_refused_and_can_still_be_used_by_it(place: str) -> None:
    open_ledger(f"duckdb:{place}").close()
    with duckdb.connect(place) as newer:
        newer.execute("INSERT INTO migrations VALUES (99, '_99_from_the_future', now())")
    with pytest.raises(ConfigError, match=r"format 99 .* upgrade"):
        open_ledger(f"duckdb:{place}")
    with duckdb.connect(place) as newer:
        assert newer.execute("SELECT max(number) FROM migrations").fetchone() == (99,)


def test_an_old_record_still_fits(ledger: Ledger) -> None:
    oldest = b'{"call_id": "1", "started_at": "2026-01-01T00:00:00Z"}'
    assert ledger.post([msgspec.json.decode(oldest, type=CallRecord)], "relay-1", "1") == 1
