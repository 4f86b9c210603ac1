"""A `CallRecord` as a row of ``calls``, and back.

The way in is JSON text, one document per record, taken apart by the engine: binding fifty parameters per
row, as ``executemany`` does, is a hundred times slower.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from ..records import CallRecord

__all__ = ["COLUMNS", "as_json", "as_record_fields", "has_content", "insert_statement", "plain_money"]

_BODIES = ("request_body", "response_body")
_FIELDS = {field.name: field for field in msgspec.structs.fields(CallRecord) if field.name not in _BODIES}
COLUMNS = list(_FIELDS)
"""The columns of ``calls``: every field of a record but the bodies."""

_encoder = msgspec.json.Encoder()


def has_content(record: CallRecord) -> bool:
    """Whether there are bodies to be kept."""
    return record.request_body is not None or record.response_body is not None


def as_json(record: CallRecord) -> str:
    """The record as `insert_statement` takes it, which is without its bodies."""
    if has_content(record):
        record = msgspec.structs.replace(record, request_body=None, response_body=None)
    return _encoder.encode(record).decode()


def insert_statement(types: Mapping[str, str]) -> str:
    """DuckDB's INSERT of a list of JSON documents, given the type of each column of ``calls``."""
    # The text of a time carries its offset, which a cast to plain TIMESTAMP would drop.
    shape = {name: "TIMESTAMPTZ" if types[name] == "TIMESTAMP" else types[name] for name in COLUMNS}
    cells = ", ".join(_cell(name) for name in COLUMNS)
    return (
        f"INSERT INTO calls ({', '.join(COLUMNS)}) SELECT {cells} FROM "
        f"(SELECT from_json(line, '{_encoder.encode(shape).decode()}') AS r FROM (SELECT unnest($1) AS line))"
    )


def _cell(name: str) -> str:
    """The value of one column. Records leave out what has its default; the default is put back here."""
    field = _FIELDS[name]
    factory = field.default_factory
    default = field.default if factory is msgspec.NODEFAULT else factory()
    if default is msgspec.NODEFAULT or default is None:
        return f"r.{name}"
    text = default if isinstance(default, str) else _encoder.encode(default).decode()
    return f"coalesce(r.{name}, '{text}')"


def as_record_fields(names: Iterable[str], row: Iterable[Any]) -> dict[str, Any]:
    """A row as a dictionary with the field names and types of `CallRecord`."""
    return {
        name: _READERS[name](cell) if cell is not None and name in _READERS else cell
        for name, cell in zip(names, row, strict=True)
    }


def plain_money(amount: Decimal) -> Decimal:
    """The same amount without the zeros that a column of twelve decimals puts behind it."""
    text = f"{amount:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


_READERS: dict[str, Callable[[Any], Any]] = {
    "started_at": _utc,
    "cost": plain_money,
    "tags": msgspec.json.decode,
    "usage": msgspec.json.decode,
    "finish_reasons": msgspec.json.decode,
}
