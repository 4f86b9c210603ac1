"""The ledger in a DuckDB file: the statements that fill and read it. Posting is one batch at a time."""

from collections.abc import Sequence
from datetime import datetime
from threading import Lock
from typing import Any

from ..records import CallRecord
from .base import Table
from .duckdb_file import DuckDBFile
from .grouping import SUMS, group_cell, usage_statement
from .moments import as_utc
from .rows import COLUMNS, as_json, as_record_fields, has_content, insert_statement, plain_money
from .sandbox import Sandbox

__all__ = ["DuckDBLedger"]

_COLUMN_TYPES = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'calls'"
_KNOWN = "SELECT call_id FROM calls WHERE call_id IN (SELECT unnest($1))"
_INSERT_CONTENTS = "INSERT INTO contents SELECT unnest($1), unnest($2::VARCHAR[]), unnest($3::VARCHAR[])"
_SET_POSITION = "INSERT OR REPLACE INTO positions VALUES (?, ?)"
_CALL_COLUMNS = ", ".join(f"calls.{name}" for name in COLUMNS)


class DuckDBLedger:
    """A `Ledger` in one file, which it closes."""

    def __init__(self, file: DuckDBFile) -> None:
        self._file = file
        self._posting = Lock()
        self._sandbox = Sandbox(self._file.cursor)
        self._insert_calls = insert_statement(dict(self._read(_COLUMN_TYPES, [])))

    def __repr__(self) -> str:
        return f"<DuckDBLedger {self._file.place}>"

    def post(self, records: Sequence[CallRecord], source: str, position: str) -> int:
        batch = {record.call_id: record for record in records}
        with self._posting, self._file.cursor() as cursor:
            cursor.begin()
            known = {call_id for (call_id,) in cursor.execute(_KNOWN, [list(batch)]).fetchall()}
            fresh = [record for call_id, record in batch.items() if call_id not in known]
            if fresh:
                cursor.execute(self._insert_calls, [[as_json(record) for record in fresh]])
            if kept := [record for record in fresh if has_content(record)]:
                bodies = [(record.call_id, record.request_body, record.response_body) for record in kept]
                cursor.execute(_INSERT_CONTENTS, [list(column) for column in zip(*bodies, strict=True)])
            cursor.execute(_SET_POSITION, [source, position])
            cursor.commit()
        return len(fresh)

    def position(self, source: str) -> str | None:
        rows = self._read("SELECT position FROM positions WHERE source = ?", [source])
        return rows[0][0] if rows else None

    def calls(
        self,
        limit: int = 50,
        *,
        caller: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[dict[str, Any]]:
        where, values = _where(since, until, caller)
        rows = self._read(
            f"SELECT {_CALL_COLUMNS} FROM calls{where} ORDER BY started_at DESC, call_id DESC LIMIT ?",
            [*values, limit],
        )
        return [as_record_fields(COLUMNS, row) for row in rows]

    def call(self, call_id: str) -> dict[str, Any] | None:
        rows = self._read(
            f"SELECT {_CALL_COLUMNS}, request_body, response_body "
            "FROM calls LEFT JOIN contents USING (call_id) WHERE calls.call_id = ?",
            [call_id],
        )
        return as_record_fields([*COLUMNS, "request_body", "response_body"], rows[0]) if rows else None

    def usage(
        self, by: Sequence[str], since: datetime | None = None, until: datetime | None = None
    ) -> list[dict[str, Any]]:
        groups = list(dict.fromkeys(by))
        where, values = _where(since, until)
        rows = self._read(usage_statement(groups, _tag, where), values)
        return [_usage_row(groups, row) for row in rows]

    def query_sql(self, text: str) -> Table:
        return self._sandbox.sql(text)

    def query_kql(self, text: str) -> Table:
        return self._sandbox.kql(text)

    def close(self) -> None:
        with self._posting:
            self._file.close()

    def _read(self, statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
        with self._file.cursor() as cursor:
            return cursor.execute(statement, values).fetchall()


def _where(since: datetime | None, until: datetime | None, caller: str | None = None) -> tuple[str, list[Any]]:
    """A WHERE clause, or nothing, and its values."""
    conditions: list[str] = []
    values: list[Any] = []
    for condition, moment in (("started_at >= ?", since), ("started_at < ?", until)):
        if moment is not None:
            conditions.append(condition)
            values.append(as_utc(moment).replace(tzinfo=None))
    if caller is not None:
        conditions.append("caller = ?")
        values.append(caller)
    return (f" WHERE {' AND '.join(conditions)}" if conditions else "", values)


def _tag(name: str) -> str:
    """One tag as text. The name is written as a JSON pointer, in which only two characters are special."""
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    return "json_extract_string(tags, '{}')".format(pointer.replace("'", "''"))


def _usage_row(groups: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    usage = dict(zip([*groups, *SUMS], row, strict=True))
    for name in groups:
        usage[name] = group_cell(name, usage[name])
    if usage["cost"] is not None:
        usage["cost"] = plain_money(usage["cost"])
    return usage
