"""What each setting's type is called in messages and in the reference, and how a raw value becomes one."""

from collections.abc import Mapping
from datetime import date, time
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from ..errors import quoted
from ..limits.settings import Money
from ..pricing import ExchangeRate, Moment, Percent, Price
from ..records import ChosenBy, Duration, OneOf, PathMark, Size

__all__ = [
    "NotJson",
    "chosen_by",
    "convert",
    "expected",
    "fields",
    "is_text",
    "item_of",
    "kind_name",
    "path_mark",
    "without_none",
]

M = TypeVar("M")

_EXPECTED: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list of tables",
    list[str]: "a list of texts",
    Duration: "a duration like 500ms, 30s, 1m30s or 7d",
    Size: "a size like 65536, 64KB, 10MB or 1.5GB",
    Price: 'a price of a million tokens like "2.50", not negative and with at most 6 decimals',
    Percent: 'percent from 0 on like "7.5", with at most 4 decimals',
    ExchangeRate: 'an exchange rate like "0.92", above 0 and with at most 6 decimals',
    Moment: "a date like 2026-11-01 or a time like 2026-11-01T06:00:00Z",
    Money: 'an amount of money like "500 EUR" or "12.50 USD"',
}
_NAMES: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    list[str]: "list of texts",
    Duration: "duration",
    Size: "size",
    Price: "price",
    Percent: "percent",
    ExchangeRate: "exchange rate",
    Moment: "date or time",
    Money: "amount of money",
}


class NotJson(msgspec.Struct, frozen=True):
    """Stands for a variable's value that had to be JSON and is not; it is not repeated, it may hold a key."""

    reason: str


def fields(kind: type[msgspec.Struct]) -> Mapping[str, msgspec.structs.FieldInfo]:
    """The settings of a table by name."""
    return {field.name: field for field in msgspec.structs.fields(kind)}


def without_none(kind: Any) -> Any:
    """``str`` for ``str | None``: TOML has no null, leaving a setting out says it. Likewise for one that is marked."""
    kind = _only(kind)
    if (choice := _mark(kind, OneOf)) is not None:
        return Literal[tuple(choice.names)]
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def chosen_by(kind: Any) -> ChosenBy | None:
    """What says that another setting decides which table this is; ``None`` for others."""
    return _mark(kind, ChosenBy)


def path_mark(kind: Any) -> PathMark | None:
    """What says that a setting is a path; ``None`` for others."""
    return _mark(_only(kind), PathMark)


def _mark(kind: Any, mark: type[M]) -> M | None:
    marks = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return next((one for one in marks if isinstance(one, mark)), None)


def _only(kind: Any) -> Any:
    if get_origin(kind) in (Union, UnionType):
        return next(part for part in get_args(kind) if part is not NoneType)
    return kind


def item_of(kind: Any) -> type[msgspec.Struct] | None:
    """The struct behind ``list[Struct]``, else ``None``."""
    return get_args(kind)[0] if get_origin(kind) is list and get_args(kind)[0] is not str else None


def is_text(kind: Any) -> bool:
    """Whether a variable's value is taken as it is, instead of being read as JSON where it can be."""
    return kind is str or get_origin(kind) is Literal


def kind_name(kind: Any) -> str:
    """A type as the reference shows it."""
    if (mark := path_mark(kind)) is not None and not mark.scheme:
        return "path"
    kind = without_none(kind)
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    if item_of(kind) is not None:
        return "list of tables"
    return _NAMES.get(kind, "table")


def expected(kind: Any, raw: Any) -> str:
    """``expected a whole number, got the text 'two'``. What may be a secret is not repeated."""
    if get_origin(kind) is Literal:
        wanted = "one of " + ", ".join(f'"{choice}"' for choice in get_args(kind))
    else:
        wanted = _EXPECTED.get(kind, "a table")
    may_repeat = get_origin(kind) is Literal or kind in (
        int,
        float,
        bool,
        Duration,
        Size,
        Price,
        Percent,
        ExchangeRate,
        Moment,
        Money,
    )
    return f"expected {wanted}, got {_described(raw, may_repeat)}"


def convert(kind: Any, raw: Any) -> Any:
    """A raw value as a setting of a simple kind. Raises ValueError for one that cannot be."""
    try:
        return msgspec.convert(raw, kind, dec_hook=_read_unit)
    except (msgspec.ValidationError, OverflowError) as error:
        raise ValueError(str(error)) from error


def _read_unit(kind: type, raw: Any) -> Any:
    may_be = (str, date) if kind is Moment else (str, int) if kind is Size else (str, int, float)
    if isinstance(raw, bool) or not isinstance(raw, may_be):
        raise ValueError("nothing that can be read")
    return kind.parse(raw)  # type: ignore[attr-defined]


def _described(raw: Any, may_repeat: bool) -> str:
    match raw:
        case bool():
            return "true" if raw else "false"
        case str():
            return f"the text {quoted(raw[:40])}" if may_repeat else "a text"
        case int() | float():
            return f"the number {raw}" if may_repeat else "a number"
        case list():
            return "a list"
        case Mapping():
            return "a table"
        case date() | time():
            return "a date or time"
        case NotJson():
            return f"a text that is not JSON ({raw.reason})"
    return f"a {type(raw).__name__}"
