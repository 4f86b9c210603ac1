"""A `CallRecord` as a row of ``calls``, and back.

The way in is JSON text, one document per record, taken apart by the engine: binding fifty parameters per
row, as ``executemany`` does, is a hundred times slower.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ..records import (
    COLUMNS,
    CONTENTS,
    CallRecord,
    ChargeLine,
    ColumnKind,
    FlatRecord,
    Quantity,
    flat,
    from_flat,
    without_contents,
)

__all__ = [
    "CALL_COLUMNS",
    "CONTENT_COLUMNS",
    "DEFAULTS",
    "JSON_KINDS",
    "as_json",
    "as_record",
    "as_record_fields",
    "contents_of",
    "json_encoder",
    "plain_money",
]

JSON_KINDS: Final[tuple[ColumnKind, ...]] = ("labels", "counts", "quantities", "object", "texts", "charges")
"""Columns that hold JSON, in the engines that have no better type for them."""

_KEPT = [column for column in COLUMNS if column.name not in CONTENTS]
CALL_COLUMNS = [column.name for column in _KEPT]
"""The columns of ``calls``: all of a record but its contents."""
CONTENT_COLUMNS = ["call_id", *CONTENTS]
"""The columns of ``contents``."""

json_encoder = msgspec.json.Encoder()


def _as_text(default: Any) -> str:
    return default if isinstance(default, str) else json_encoder.encode(default).decode()


DEFAULTS = {
    column.name: _as_text(column.default) for column in _KEPT if not column.is_required and column.default is not None
}
"""What stands in a column where the record says nothing, as text: a record leaves out what has its default."""


def as_json(record: CallRecord) -> str:
    """The record as an engine takes it apart, which is without its contents."""
    return json_encoder.encode(flat(without_contents(record))).decode()


def contents_of(record: CallRecord) -> tuple[str | None, ...]:
    """The row of ``contents``, all of it text."""
    trace = None if record.trace is None else json_encoder.encode(record.trace).decode()
    return record.call_id, record.request_body, record.response_body, trace


def as_record_fields(names: Iterable[str], row: Iterable[Any]) -> dict[str, Any]:
    """A row as a dictionary with the names and types of a record's columns."""
    return {
        name: _READERS[name](cell) if cell is not None and name in _READERS else cell
        for name, cell in zip(names, row, strict=True)
    }


def as_record(names: Iterable[str], row: Iterable[Any]) -> CallRecord:
    """A row as the record that it was made of."""
    fields = {name: value for name, value in as_record_fields(names, row).items() if value is not None}
    return from_flat(msgspec.convert(fields, FlatRecord))


def plain_money(amount: Decimal) -> Decimal:
    """The same amount without the zeros that a column of twelve decimals puts behind it."""
    text = f"{amount:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


_BY_KIND: dict[ColumnKind, Callable[[Any], Any]] = {
    "moment": _utc,
    "money": plain_money,
    **dict.fromkeys(JSON_KINDS, msgspec.json.decode),
    "quantities": msgspec.json.Decoder(dict[str, Quantity]).decode,
    "charges": msgspec.json.Decoder(list[ChargeLine]).decode,
    "trace": msgspec.json.decode,
}
_READERS = {column.name: _BY_KIND[column.kind] for column in COLUMNS if column.kind in _BY_KIND}
