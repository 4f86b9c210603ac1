"""What calls cost, line by line: the view ``charge_lines``, the sums of it that statements are made of, and those that
are kept of whole days.

Each call has the lines of its ``charges``; one that has none has a line of its own, so that sums of lines are the sums
of calls in every grouping:

    not_itemised   it used something, and its record has a cost, or none, but no lines
    unmetered      it may have used something, and nobody knows what
    nothing        nothing was used, or what was used is told by a record of its own

A correction takes the lines that a call had away and adds those that it has now. ``calls`` counts a call at its first
line only, so it adds up, too; ``lines`` counts every line, those that are taken away as well.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final, Protocol

import msgspec

from .corrections import RATING, MakeTable, TypeNames, corrected
from .grouping import AMOUNTS
from .rows import plain_money

__all__ = [
    "CHARGE_SUM_COLUMNS",
    "LINE_COLUMNS",
    "NOTHING",
    "NOT_ITEMISED",
    "UNMETERED",
    "ChargeSum",
    "LineDialect",
    "calls_as_corrected",
    "calls_as_rated",
    "charge_sum_of",
    "charge_sums",
    "count_lines",
    "creating_sums",
    "creating_view",
    "lines_of",
    "sum_definitions",
    "sums_into_days",
]

NOT_ITEMISED: Final = "not_itemised"
UNMETERED: Final = "unmetered"
NOTHING: Final = "nothing"

_OF_THE_CALL: Final = (
    "caller",
    "tags",
    "api",
    "deployment",
    "requested_model",
    "response_model",
    "region",
    "sku",
    "service_tier",
    "usage_source",
)
_OF_THE_LINE: Final = ("meter", "unit", "rate", "per", "price_id", "currency", "reason")
_SUMS: Final = ("calls", "lines", "quantity", "amount")

LINE_COLUMNS: Final = ("call_id", "started_at", "entry", *_OF_THE_CALL, *_OF_THE_LINE, *_SUMS)
"""The columns of the view."""

_USED_UP: Final = "'later'"
"""Why nothing is missing where a call says no usage: a record of its own says it."""

_METER_OF_NONE: Final = (
    f"CASE WHEN cost IS NOT NULL OR usage_source <> 'none' THEN '{NOT_ITEMISED}' "
    f"WHEN usage_reason IS NULL OR usage_reason = {_USED_UP} THEN '{NOTHING}' ELSE '{UNMETERED}' END"
)
_REASON_OF_NONE: Final = (
    "CASE WHEN cost IS NOT NULL THEN NULL WHEN usage_source <> 'none' THEN coalesce(cost_reason, 'no_price') "
    f"WHEN usage_reason = {_USED_UP} THEN NULL ELSE usage_reason END"
)


class ChargeSum(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Lines of the same kind, added up: the finest that a statement knows."""

    entry: str
    """``call``: as calls were rated when they were posted; ``correction``: what re-ratings took away and added."""
    caller: str | None = None
    tags: dict[str, str] = {}
    api: str | None = None
    deployment: str | None = None
    requested_model: str | None = None
    response_model: str | None = None
    region: str | None = None
    sku: str | None = None
    service_tier: str | None = None
    usage_source: str = "none"
    meter: str = NOTHING
    unit: str | None = None
    rate: Decimal | None = None
    per: int | None = None
    price_id: str | None = None
    currency: str | None = None
    reason: str | None = None
    """Why it has no amount."""
    calls: int = 0
    lines: int = 0
    quantity: Decimal = Decimal(0)
    amount: Decimal | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """All but the sums; of two of a list no two have the same."""
        return (
            self.entry,
            self.caller,
            tuple(sorted(self.tags.items())),
            *(getattr(self, name) for name in _AFTER_TAGS),
        )

    @property
    def model(self) -> str | None:
        return self.response_model or self.requested_model

    def minus(self, other: "ChargeSum | None") -> "ChargeSum":
        """What there is more of. ``other`` has the same key."""
        if other is None:
            return self
        amounts = [one for one in (self.amount, other.amount and -other.amount) if one is not None]
        return msgspec.structs.replace(
            self,
            calls=self.calls - other.calls,
            lines=self.lines - other.lines,
            quantity=self.quantity - other.quantity,
            amount=sum(amounts, Decimal(0)) if amounts else None,
        )

    @property
    def is_empty(self) -> bool:
        return not (self.calls or self.quantity or self.amount)


_AFTER_TAGS: Final = (*_OF_THE_CALL[2:], *_OF_THE_LINE)
CHARGE_SUM_COLUMNS: Final = ("entry", *_OF_THE_CALL, *_OF_THE_LINE, *_SUMS)
"""The fields of a `ChargeSum`, in the order of its columns."""

_READ: Final = ("call_id", "started_at", *_OF_THE_CALL, "operation", "usage_reason", *RATING)
"""What is needed of a call."""


class LineDialect(Protocol):
    """What engines write differently of lines, which are JSON."""

    _itemised: ClassVar[str]
    """A SELECT of the calls of ``{source}`` that have lines, as often as they have, with ``line`` and ``line_number``
    from 1."""

    def _of_line(self, name: str) -> str:
        """SQL for a field of ``line`` as text, NULL where it is not there."""
        ...

    def _decimal(self, text: str) -> str:
        """SQL for a text as an amount of money."""
        ...


def calls_as_rated(condition: str = "") -> str:
    """The source of lines of calls, as they were rated when they were posted."""
    where = f" WHERE {condition}" if condition else ""
    return f"SELECT {', '.join(_READ)}, 'call' AS entry, 1 AS sign FROM calls{where}"


def calls_as_corrected(entries: str = "corrections", condition: str = "") -> list[str]:
    """The sources of lines that corrections took away, and of those that they added."""
    return [corrected(-1, _READ, entries, condition), corrected(1, _READ, entries, condition)]


def lines_of(sources: Iterable[str], dialect: LineDialect) -> str:
    """A SELECT of all lines of these sources, with the columns of `LINE_COLUMNS`."""
    return " UNION ALL ".join(select for source in sources for select in _lines_of(source, dialect))


def _lines_of(source: str, dialect: LineDialect) -> Iterator[str]:
    of_call = f"call_id, started_at, entry, {', '.join(_OF_THE_CALL)}"
    text, decimal = dialect._of_line, dialect._decimal
    of_line = {
        "meter": text("meter"),
        "unit": text("unit"),
        "rate": decimal(text("rate")),
        "per": decimal(f"coalesce({text('per')}, '1')"),
        "price_id": f"coalesce({text('price_id')}, price_id)",
        "currency": f"coalesce({text('currency')}, currency)",
        "reason": text("reason"),
        "calls": f"CASE WHEN line_number = 1 THEN sign * ({AMOUNTS['calls']}) ELSE 0 END",
        "lines": "1",
        "quantity": f"sign * {decimal(text('quantity'))}",
        "amount": f"sign * {decimal(text('amount'))}",
    }
    # Named as it is only outside: an engine would take `price_id` for the new one inside.
    named = ", ".join(f"{what} AS line_{name}" for name, what in of_line.items())
    shown = ", ".join(f"line_{name} AS {name}" for name in of_line)
    itemised = dialect._itemised.replace("{source}", source)
    yield f"SELECT {of_call}, {shown} FROM (SELECT {of_call}, {named} FROM ({itemised}) AS itemised) AS lines"
    of_none = {
        "meter": _METER_OF_NONE,
        "unit": "'calls'",
        "rate": decimal("NULL"),
        "per": decimal("NULL"),
        "price_id": "price_id",
        "currency": "currency",
        "reason": _REASON_OF_NONE,
        "calls": f"sign * ({AMOUNTS['calls']})",
        "lines": "1",
        "quantity": "sign * " + decimal("'1'"),
        "amount": "sign * cost",
    }
    named = ", ".join(f"{what} AS line_{name}" for name, what in of_none.items())
    bare = f"SELECT {of_call}, {named} FROM ({source}) AS calls WHERE CAST(charges AS text) = '[]'"
    yield f"SELECT {of_call}, {shown} FROM ({bare}) AS lines"


def creating_view(dialect: LineDialect) -> str:
    """The statement that makes the view ``charge_lines``."""
    return f"CREATE OR REPLACE VIEW charge_lines AS {lines_of([calls_as_rated(), *calls_as_corrected()], dialect)}"


def creating_sums(types: TypeNames, make: MakeTable) -> list[str]:
    """The statements that make the sums of whole days, and fill them for days that are closed already: their calls have
    no lines yet."""
    day = ["started_at " + types.moment, *sum_definitions(types)]
    filling = (
        f"INSERT INTO daily_charges SELECT started_at, 'call', {', '.join(_OF_THE_CALL)}, {_METER_OF_NONE}, 'calls', "
        f"NULL, NULL, price_id, currency, {_REASON_OF_NONE}, calls, calls, calls, cost FROM daily_usage"
    )
    return [*make("daily_charges", day, [], is_small=False), filling]


def sum_definitions(types: TypeNames) -> list[str]:
    """The columns of a `ChargeSum` in a table."""
    kinds = {
        **dict.fromkeys(("entry", "tags", "meter"), types.text),
        **dict.fromkeys(("rate", "per", "amount"), types.optional_money),
        **dict.fromkeys(("calls", "lines"), types.whole),
        "quantity": types.money,
    }
    return [f"{name} {kinds.get(name, types.optional_text)}" for name in CHARGE_SUM_COLUMNS]


def sums_into_days(lines: str, tags: str) -> str:
    """The statement that adds lines to the sums of their days; ``tags`` is the engine's SQL for tags as text."""
    return f"INSERT INTO daily_charges SELECT date_trunc('day', started_at), {_sums(lines, tags, 1)}"


def charge_sums(lines: str, tags: str, days: str | None) -> str:
    """The statement for all `ChargeSum` of these lines, and of the sums of the ``days`` of a condition."""
    if days is not None:
        of_days = f"SELECT {', '.join(CHARGE_SUM_COLUMNS)} FROM daily_charges WHERE {days}"
        of_lines = ", ".join(f"{tags} AS tags" if name == "tags" else name for name in CHARGE_SUM_COLUMNS)
        lines, tags = f"{of_days} UNION ALL SELECT {of_lines} FROM ({lines}) AS calls", "tags"
    return f"SELECT {_sums(lines, tags, 0)}"


def count_lines(lines: str, days: str | None) -> str:
    """The statement for how many of these lines there are, and in the sums of the ``days`` of a condition, without
    those of corrections."""
    counted = f"SELECT lines FROM ({lines}) AS lines"
    if days is not None:
        counted += f" UNION ALL SELECT lines FROM daily_charges WHERE entry = 'call' AND {days}"
    return f"SELECT coalesce(sum(lines), 0) FROM ({counted}) AS counted"


def _sums(lines: str, tags: str, before: int) -> str:
    groups = [tags if name == "tags" else name for name in CHARGE_SUM_COLUMNS[: -len(_SUMS)]]
    summed = [f"sum({name})" for name in _SUMS]
    numbers = ", ".join(str(number) for number in range(1, before + len(groups) + 1))
    return f"{', '.join([*groups, *summed])} FROM ({lines}) AS lines GROUP BY {numbers}"


def charge_sum_of(row: Sequence[Any]) -> ChargeSum:
    """A row of the statement, with tags as JSON text."""
    entry, caller, tags, *rest = row
    fields = dict(zip(CHARGE_SUM_COLUMNS[3:], rest, strict=True))
    for name in ("rate", "amount"):
        if fields[name] is not None:
            fields[name] = plain_money(Decimal(fields[name]))
    fields["quantity"] = plain_money(Decimal(fields["quantity"] or 0))
    fields |= {name: int(fields[name]) for name in ("calls", "lines")}
    if fields["per"] is not None:
        fields["per"] = int(fields["per"])
    return ChargeSum(entry=entry, caller=caller, tags=msgspec.json.decode(tags or "{}"), **fields)
