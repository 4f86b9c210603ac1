"""Finding, creating and refusing ledger files."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tokenweir.errors import ConfigError
from tokenweir.ledger import Ledger, LedgerError, LedgerLocked, open_ledger
from tokenweir.ledger.duckdb.file import DuckDBFile
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]

HOLD = "import sys; from tokenweir.ledger import open_ledger; l = open_ledger(sys.argv[1]); print(); sys.stdin.read()"


def test_the_directory_is_made_and_is_its_owners_alone(tmp_path: Path) -> None:
    open_ledger(f"duckdb:{tmp_path}/new/books/ledger.duckdb").close()
    assert (tmp_path / "new/books").stat().st_mode & 0o777 == 0o700


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


def test_a_name_means_a_table_and_no_variable_of_the_program() -> None:
    file = DuckDBFile(":memory:")
    with pytest.raises(LedgerError, match="Table with name private does not exist"), file.cursor() as cursor:
        private = cursor.sql("SELECT 'known to this program only'")
        assert private.columns
        cursor.sql("SELECT * FROM private")
    file.close()
