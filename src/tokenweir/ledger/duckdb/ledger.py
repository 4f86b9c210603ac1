"""The ledger in a DuckDB file: the statements that fill it. Posting is one batch at a time."""

import logging
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import msgspec
from duckdb import DuckDBPyConnection

from ...records import CallRecord, has_contents
from ..accounts import Accounts
from ..base import LedgerError, Piece, Table
from ..corrections import RatingRun, staged, take_number
from ..limits import Limits
from ..queries import OpenLedger, Queries, QueriesHere
from ..rollups import (
    DAY,
    Closed,
    beginning,
    close_day,
    corrections_into_days,
    first_open_day,
    is_closed,
    is_due,
    late_additions,
    literal,
)
from ..rows import CALL_COLUMNS, CONTENT_COLUMNS, DEFAULTS, as_json, contents_of, json_encoder
from ..seals import SEAL_COLUMNS, Sealer, seal_row
from ..upkeep import change_statement
from .file import DuckDBFile
from .lines import DuckDBLines
from .sandbox import DuckDBSandbox
from .snapshot import Snapshot

__all__ = ["DuckDBLedger"]

_log = logging.getLogger(__name__)

_COLUMN_TYPES = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?"
# Ids ascend with time, so their bounds spare the engine all but the newest row groups: with ten million calls that
# is nine milliseconds instead of eight hundred for a batch of thousands.
_KNOWN = "SELECT call_id FROM calls WHERE call_id BETWEEN $2 AND $3 AND call_id IN (SELECT unnest($1))"
_INSERT_CONTENTS = (
    f"INSERT INTO contents ({', '.join(CONTENT_COLUMNS)}) "
    f"SELECT {', '.join(f'unnest(${number}::VARCHAR[])' for number in range(1, len(CONTENT_COLUMNS) + 1))}"
)
_QUANTITIES = (
    "SELECT *, unnest(json_keys(quantities)) AS quantity, "
    "TRY_CAST(json_extract_string(quantities, '/' || quantity || '/amount') AS DECIMAL(38,12)) AS amount FROM calls"
)
_HAS_QUANTITIES = "CAST(quantities AS VARCHAR) <> '{}'"
_KEEP_SEAL = f"INSERT INTO seals VALUES ({', '.join('?' for _ in SEAL_COLUMNS)})"
_LATE = "call_id BETWEEN $2 AND $3 AND call_id IN (SELECT unnest($1))"
_SET_POSITION = "INSERT OR REPLACE INTO positions VALUES (?, ?)"


class DuckDBLedger(DuckDBLines, Accounts):
    """A `Ledger` in one file, which it closes."""

    _mark = "?"
    _quantities = _QUANTITIES
    _has_quantities = _HAS_QUANTITIES

    def __init__(self, file: DuckDBFile, limits: Limits | None = None) -> None:
        self._file = file
        self._posting = Lock()
        # What is in the memory of this process can only be asked here.
        self._queries: Queries | QueriesHere = (
            QueriesHere(partial(DuckDBSandbox, self._file.cursor), limits or Limits())
            if file.place == ":memory:"
            else Queries(self._snapshot, limits or Limits())
        )
        self._sealer = Sealer(self._newest_seal)
        self._closed_until: Closed = self._read("SELECT until FROM closed_days", [])[0][0]
        self._insert_calls = _insert_statement(dict(self._read(_COLUMN_TYPES, ["calls"])))

    def __repr__(self) -> str:
        return f"<DuckDBLedger {self._file.place}>"

    def __str__(self) -> str:
        """For a person."""
        return f"DuckDB at {self._file.place}"

    def post(self, records: Sequence[CallRecord], source: str, position: str | None) -> int:
        batch = {record.call_id: record for record in records}
        with self._posting:
            new = self._post(batch, source, position)
            if is_due(batch.values(), self._closed_until):
                self._close_a_day(batch.values())
            self._file.checkpoint()
        return new

    def _post(self, batch: dict[str, CallRecord], source: str, position: str | None) -> int:
        with self._file.cursor() as cursor:
            cursor.begin()
            known = _known(cursor, batch)
            fresh = [record for call_id, record in batch.items() if call_id not in known]
            if fresh:
                seal = self._sealer.seal(self._sealer.next_number(), fresh)
                cursor.execute(self._insert_calls, [[as_json(record) for record in fresh], seal.seal])
                cursor.execute(_KEEP_SEAL, seal_row(seal))
            if kept := [contents_of(record) for record in fresh if has_contents(record)]:
                cursor.execute(_INSERT_CONTENTS, [list(column) for column in zip(*kept, strict=True)])
            if late := [record.call_id for record in fresh if is_closed(record, self._closed_until)]:
                for statement in late_additions(_LATE, self):
                    cursor.execute(statement, [late, min(late), max(late)])
            if position is not None:
                cursor.execute(_SET_POSITION, [source, position])
            cursor.commit()
        if fresh:
            self._sealer.posted(seal)
        return len(fresh)

    def _closed(self) -> Closed:
        return self._closed_until

    def _close_a_day(self, posted: Collection[CallRecord]) -> None:
        """The earliest that is not closed, if it is over. One at a time: each takes some milliseconds."""
        try:
            with self._file.cursor() as cursor:
                cursor.begin()
                row = cursor.execute(first_open_day(self._closed_until)).fetchone()
                day: Closed = row[0] if row else None
                if day is None:
                    return
                is_over = is_due(posted, day)
                for statement in close_day(day, self) if is_over else beginning(day):
                    cursor.execute(statement)
                cursor.commit()
        except LedgerError as error:
            _log.warning("%s; the calls of that day are summed up whenever they are asked for", error)
        else:
            self._closed_until = day + DAY if is_over else day

    def query_sql(self, text: str) -> Table:
        return self._queries.sql(text)

    def query_kql(self, text: str) -> Table:
        return self._queries.kql(text)

    def all_rows(self, language: str, text: str) -> Generator[Piece]:
        return self._queries.all_rows(language, text)

    def close(self) -> None:
        with self._posting:
            self._file.close()

    @contextmanager
    def _snapshot(self) -> Iterator[OpenLedger]:
        scratch = Path(self._file.scratch())
        try:
            directory = TemporaryDirectory(prefix=scratch.name, dir=scratch.parent, ignore_cleanup_errors=True)
        except OSError as error:
            raise LedgerError(f"the ledger {self._file.place} cannot be asked: {error}") from error
        with directory, ExitStack() as held:
            with self._posting:
                log_bytes = held.enter_context(self._file.held())
            yield Snapshot(str(Path(self._file.place).absolute()), log_bytes, directory.name)

    def _change(self, table: str, sets: Mapping[str, str | None] | None, condition: str, values: list[Any]) -> None:
        with self._posting:
            with self._file.cursor() as cursor:
                cursor.execute(*change_statement(table, sets, condition, values, self._mark))
            self._file.checkpoint()

    def _write(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        types = dict(self._read(_COLUMN_TYPES, [table]))
        statement = _insert_of(table, types, {name: f"r.{name}" for name in rows[0]}, rows[0])
        with self._posting:
            with self._file.cursor() as cursor:
                cursor.execute(statement, [[json_encoder.encode(row).decode() for row in rows]])
            self._file.checkpoint()

    def book_run(self, run: RatingRun) -> None:
        with self._posting:
            with self._file.cursor() as cursor:
                cursor.begin()
                last = cursor.execute("SELECT coalesce(max(number), 0) FROM rating_runs").fetchone()
                take_number(run, last)
                cursor.execute(
                    "INSERT INTO posted_rating_runs VALUES (?, ?, ?, ?, ?, ?)", list(msgspec.structs.astuple(run))
                )
                if self._closed_until is not None:
                    before = f"started_at < {literal(self._closed_until)}"
                    for statement in corrections_into_days(staged(run.run_id), before, self):
                        cursor.execute(statement)
                cursor.commit()
            self._file.checkpoint()

    def _read(self, statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
        with self._file.cursor() as cursor:
            return cursor.execute(statement, values).fetchall()

    def _tag(self, name: str) -> str:
        """The name is written as a JSON pointer, in which only two characters are special."""
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        return "json_extract_string(tags, '{}')".format(pointer.replace("'", "''"))

    def _local(self, moment: str, timezone: str) -> str:
        return f"timezone('{timezone}', timezone('UTC', {moment}))"


def _known(cursor: DuckDBPyConnection, call_ids: Collection[str]) -> set[str]:
    if not call_ids:
        return set()
    rows = cursor.execute(_KNOWN, [list(call_ids), min(call_ids), max(call_ids)]).fetchall()
    return {call_id for (call_id,) in rows}


def _insert_statement(types: dict[str, str]) -> str:
    """The INSERT of a list of JSON documents, and of the number of their seal, given the type of each column of
    ``calls``."""
    cells = {
        name: f"coalesce(r.{name}, '{DEFAULTS[name]}')" if name in DEFAULTS else f"r.{name}" for name in CALL_COLUMNS
    }
    return _insert_of("calls", types, cells | {"seal": "$2"}, CALL_COLUMNS)


def _insert_of(table: str, types: dict[str, str], cells: Mapping[str, str], read: Iterable[str]) -> str:
    """The INSERT of these cells, each by its column, which are made of the columns to be ``read``."""
    # The text of a time carries its offset, which a cast to plain TIMESTAMP would drop.
    shape = {name: "TIMESTAMPTZ" if types[name] == "TIMESTAMP" else types[name] for name in read}
    return (
        f"INSERT INTO {table} ({', '.join(cells)}) SELECT {', '.join(cells.values())} FROM "
        f"(SELECT from_json(line, '{json_encoder.encode(shape).decode()}') AS r FROM (SELECT unnest($1) AS line))"
    )
