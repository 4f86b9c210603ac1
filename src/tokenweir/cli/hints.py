"""What a person is told beside an answer, on standard error: what to do where a table is empty, and why calls were
refused.

Programs read JSON or CSV and are told nothing.
"""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..errors import QueryError
from .books_access import Among, OpenBooks
from .params import Format

__all__ = ["NO_CALLS", "say_as_of", "say_corrections", "say_estimates", "say_if_empty", "say_refusals"]

NO_CALLS = "there are no calls yet; send one through the gateway, with your own client or by `tokenweir stream`"


def say_if_empty(rows: Sequence[Any], format: Format, text: str) -> None:
    if not rows and format == "table":
        _say(text)


def say_as_of(rows: Sequence[dict[str, Any]], now: datetime, format: Format) -> None:
    """A footnote to usage: as of when it is, and why its costs are a floor."""
    if format != "table" or not rows:
        return
    unpriced, estimated = (sum(row.get(name, 0) for row in rows) for name in ("unpriced", "estimated"))
    why = [f"{unpriced:,} unpriced"] if unpriced else []
    why += [f"{estimated:,} estimated"] if estimated else []
    of_it = f"; costs are at least that: of {sum(row['calls'] for row in rows):,} calls {' and '.join(why)}"
    _say(f"as of {now:%Y-%m-%d %H:%M:%S}Z{of_it if why else ''}")


def say_refusals(books: OpenBooks, among: Among, format: Format) -> None:
    """A footnote to usage: calls that this gateway answered itself are in the sums, with no tokens."""
    counts = _counts(books, "outcome", "refused", "error_code", among, format)
    if total := sum(counts.values()):
        reasons = ", ".join(f"{code} {count:,}" for code, count in counts.items())
        what = "1 call was refused" if total == 1 else f"{total:,} calls were refused"
        _say(f"{what}: {reasons}; {'it' if total == 1 else 'they'} used nothing")


def say_estimates(books: OpenBooks, among: Among, format: Format) -> None:
    """A footnote to usage: calls whose usage nobody reported, by why not."""
    counts = _counts(books, "usage_source", "estimated", "usage_reason", among, format)
    if total := sum(counts.values()):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
        _say(f"{total:,} {'call' if total == 1 else 'calls'} estimated: {reasons}")


def say_corrections(books: OpenBooks, among: Among, format: Format) -> None:
    """A footnote to usage: calls that were rated anew cost here what they cost now."""
    if format != "table":
        return
    bounds = [f"call_started_at >= '{among.since:%Y-%m-%d %H:%M:%S}'"] if among.since else []
    bounds += [f"call_started_at < '{among.until:%Y-%m-%d %H:%M:%S}'"] if among.until else []
    where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
    try:
        [[count]] = books.query("sql", f"SELECT count(*) FROM corrections{where}").rows
    except QueryError:  # of a gateway that runs an older version
        return
    if count:
        _say(f"{count:,} correcting entries of `tokenweir rerate` are in these costs")


def _counts(
    books: OpenBooks,
    column: str,
    value: str,
    reason: str,
    among: Among,
    format: Format,
) -> dict[str, int]:
    """How many calls have ``value`` in ``column``, by ``reason``, most first; nothing where a program reads."""
    if format != "table":
        return {}
    try:
        rows = books.usage([column, reason], among)
    except QueryError:  # of a gateway that runs an older version
        return {}
    counts = [(row[reason] or "no reason", row["calls"]) for row in rows if row[column] == value]
    return dict(sorted(counts, key=lambda one: (-one[1], one[0])))


def _say(text: str) -> None:
    sys.stdout.flush()
    print(f"tokenweir: {text}", file=sys.stderr)
