"""The ledger in PostgreSQL: the statements that fill it. Any number of processes may post at once."""

import logging
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, NamedTuple

import msgspec
import psycopg

from ...records import CallRecord, has_contents
from ..accounts import Accounts
from ..base import LedgerError, Piece, Table
from ..corrections import RatingRun, staged, take_number
from ..kql import KqlOverCopies
from ..limits import Limits
from ..queries import Answering, Queries, TwoSandboxes, unchanging
from ..rollups import (
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
from ..rows import CALL_COLUMNS, CONTENT_COLUMNS, DEFAULTS, as_json, contents_of
from ..seals import SEAL_COLUMNS, Sealer, seal_row
from ..storable import storable
from ..upkeep import change_statement
from .copying import copy_calls
from .lines import PostgresLines
from .sandbox import PostgresSandbox
from .server import Connection, PostgresDatabase

__all__ = ["PostgresLedger"]

_log = logging.getLogger(__name__)

_COLUMN_TYPES = (
    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
    "WHERE attrelid = to_regclass('calls') AND attnum > 0 AND NOT attisdropped"
)
# A batch comes as one JSON document per line, into a table that is gone with the transaction: faster than binding
# values, by a factor of six, and as fast as copying fifty columns.
_MAKE_INCOMING = "CREATE TEMPORARY TABLE incoming (line json) ON COMMIT DROP"
_COPY_LINES = "COPY incoming FROM STDIN"
_COPY_CONTENTS = f"COPY contents ({', '.join(CONTENT_COLUMNS)}) FROM STDIN"
_KEEP_SEAL = f"INSERT INTO seals VALUES ({', '.join('%s' for _ in SEAL_COLUMNS)})"
_SET_POSITION = (
    "INSERT INTO positions (source, position) VALUES (%s, %s) "
    "ON CONFLICT (source) DO UPDATE SET position = excluded.position"
)

_QUANTITIES = (
    "SELECT calls.*, used.key AS quantity, CAST(used.value ->> 'amount' AS numeric) AS amount "
    "FROM calls, json_each(quantities) AS used"
)
_HAS_QUANTITIES = "CAST(quantities AS text) <> '{}'"

# Of the database's locks that only mean what their users agree on; any number will do.
_CLOSING = int.from_bytes(b"weirdays")


class PostgresLedger(PostgresLines, Accounts):
    """A `Ledger` in a database that others may share, whose connections it closes."""

    _mark = "%s"
    _quantities = _QUANTITIES
    _has_quantities = _HAS_QUANTITIES

    def __init__(self, server: PostgresDatabase, limits: Limits | None = None) -> None:
        self._server = server
        self._queries = Queries(unchanging(partial(_answering, server.url)), limits or Limits())
        self._sealer = Sealer(self._newest_seal)
        self._insert_calls = _insert_statement(dict(self._read(_COLUMN_TYPES, [])))

    def __repr__(self) -> str:
        return f"<PostgresLedger {self._server.place}>"

    def __str__(self) -> str:
        """For a person."""
        return f"PostgreSQL at {self._server.place}"

    def post(self, records: Sequence[CallRecord], source: str, position: str | None) -> int:
        batch = {record.call_id: record for record in records}.values()
        number = self._sealer.next_number()
        with self._server.transaction() as connection:
            # No day is closed while somebody posts, and nobody posts while one is being closed.
            connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_CLOSING])
            closed = _closed_until(connection)
            try:
                with connection.transaction():
                    fresh = self._insert(connection, [_Incoming.of(record) for record in batch], number)
            except psycopg.DataError:
                fresh = self._insert(connection, [_Incoming.of(_mended(record)) for record in batch], number)
            if late := [record.call_id for record in fresh if is_closed(record, closed)]:
                for statement in late_additions("call_id = ANY(%(late)s)", self):
                    connection.execute(statement.encode(), {"late": late})
            seal = self._sealer.seal(number, fresh) if fresh else None
            if seal is not None:
                connection.execute(_KEEP_SEAL, seal_row(seal))
            if position is not None:
                connection.execute(_SET_POSITION, [source, position])
        if seal is not None:
            self._sealer.posted(seal)
        if is_due(batch, closed):
            self._close_a_day(batch)
        return len(fresh)

    def _close_a_day(self, posted: Collection[CallRecord]) -> None:
        """The earliest that is not closed, if it is over and no other poster was quicker."""
        try:
            with self._server.transaction() as connection:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [_CLOSING])
                row = connection.execute(first_open_day(_closed_until(connection)).encode()).fetchone()
                if row is None or row[0] is None:
                    return
                for statement in close_day(row[0], self) if is_due(posted, row[0]) else beginning(row[0]):
                    connection.execute(statement.encode())
        except LedgerError as error:
            _log.warning("%s; the calls of that day are summed up whenever they are asked for", error)

    def _closed(self) -> Closed:
        with self._server.transaction() as connection:
            return _closed_until(connection)

    def _insert(self, connection: Connection, batch: Sequence["_Incoming"], seal: int) -> list[CallRecord]:
        """Which were new, as they were written."""
        connection.execute(_MAKE_INCOMING)
        with connection.cursor().copy(_COPY_LINES) as copy:
            for _, line in batch:
                copy.write_row([line])
        fresh = {call_id for (call_id,) in connection.execute(self._insert_calls, [seal]).fetchall()}
        with connection.cursor().copy(_COPY_CONTENTS) as copy:
            for record, _ in batch:
                if record.call_id in fresh and has_contents(record):
                    copy.write_row(contents_of(record))
        return [record for record, _ in batch if record.call_id in fresh]

    def query_sql(self, text: str) -> Table:
        return self._queries.sql(text)

    def query_kql(self, text: str) -> Table:
        return self._queries.kql(text)

    def all_rows(self, language: str, text: str) -> Generator[Piece]:
        return self._queries.all_rows(language, text)

    def close(self) -> None:
        self._server.close()

    def _change(self, table: str, sets: Mapping[str, str | None] | None, condition: str, values: list[Any]) -> None:
        with self._server.transaction() as connection:
            connection.execute(*change_statement(table, sets, condition, values, self._mark))

    def _write(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        with self._server.transaction() as connection:
            statement = f"COPY {table} ({', '.join(rows[0])}) FROM STDIN"
            with connection.cursor().copy(statement.encode()) as copy:
                for row in rows:
                    copy.write_row(
                        [bytes(cell).decode() if isinstance(cell, msgspec.Raw) else cell for cell in row.values()]
                    )

    def book_run(self, run: RatingRun) -> None:
        with self._server.transaction() as connection:
            # Nobody closes a day, and nobody posts, while sums of closed days are corrected.
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_CLOSING])
            take_number(run, connection.execute("SELECT coalesce(max(number), 0) FROM rating_runs").fetchone())
            connection.execute(
                "INSERT INTO posted_rating_runs VALUES (%s, %s, %s, %s, %s, %s)", msgspec.structs.astuple(run)
            )
            closed = _closed_until(connection)
            if closed is not None:
                before = f"started_at < {literal(closed)}"
                for statement in corrections_into_days(staged(run.run_id), before, self):
                    connection.execute(statement.encode())

    def _read(self, statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
        with self._server.transaction() as connection:
            return connection.execute(statement, values).fetchall()

    def _tag(self, name: str) -> str:
        return f"tags ->> {self._literal(name)}"

    def _literal(self, text: str) -> str:
        return super()._literal(text).replace("%", "%%")

    def _local(self, moment: str, timezone: str) -> str:
        return f"timezone('{timezone}', timezone('UTC', {moment}))"


def _closed_until(connection: Connection) -> Closed:
    row = connection.execute("SELECT until FROM closed_days").fetchone()
    return row[0] if row else None


@contextmanager
def _answering(url: str, limits: Limits) -> Iterator[Answering]:
    with closing(PostgresDatabase(url, is_migrated=True)) as server:
        yield TwoSandboxes(PostgresSandbox(server, limits), KqlOverCopies(partial(copy_calls, server), limits))


def _mended(record: CallRecord) -> CallRecord:
    return storable(record, "PostgreSQL", supports_nul=False)


class _Incoming(NamedTuple):
    """A record and its line in the table it comes in by."""

    record: CallRecord
    line: str

    @classmethod
    def of(cls, record: CallRecord) -> "_Incoming":
        line = as_json(record)
        # The table takes these two, and cannot be asked for its JSON or its sums afterwards.
        if "\\u0000" in line or (record.cost is not None and not record.cost.is_finite()):
            record = _mended(record)
            line = as_json(record)
        return cls(record, line)


def _insert_statement(types: dict[str, str]) -> str:
    """The INSERT of the lines that came in, given the type of each column of ``calls``.

    Of two posters that bring the same call at the same time, the second waits here until the first has committed or
    failed. All bring their calls in the same order, so that no two can wait for each other.
    """
    # The text of a time carries its offset, which a cast to plain timestamp would drop.
    is_time = {name for name, kind in types.items() if kind.startswith("timestamp")}
    shape = ", ".join(f"{name} {'timestamptz' if name in is_time else types[name]}" for name in CALL_COLUMNS)
    cells = ", ".join(_cell(name, is_time=name in is_time) for name in CALL_COLUMNS)
    names = ", ".join(CALL_COLUMNS)
    return (
        f"INSERT INTO calls ({names}, seal) SELECT {cells}, %s FROM incoming, json_to_record(line) AS r({shape}) "
        "ORDER BY r.call_id ON CONFLICT (call_id) DO NOTHING RETURNING call_id"
    )


def _cell(name: str, *, is_time: bool) -> str:
    """The value of one column. Records leave out what has its default; the default is put back here."""
    if is_time:
        return f"r.{name} AT TIME ZONE 'UTC'"
    return f"coalesce(r.{name}, '{DEFAULTS[name]}')" if name in DEFAULTS else f"r.{name}"
