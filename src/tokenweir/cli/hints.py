"""What a person is told beside an answer, on standard error: what to do where a table is empty, and why calls were
refused.

Programs read JSON or CSV and are told nothing.
"""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from ..errors import QueryError
from .books_access import Books
from .params import Format

__all__ = ["NO_CALLS", "say_estimates", "say_if_empty", "say_refusals"]

NO_CALLS = "there are no calls yet; send one through the gateway, with your own client or by `tokenweir stream`"


def say_if_empty(rows: Sequence[Any], format: Format, text: str) -> None:
    if not rows and format == "table":
        _say(text)


def say_refusals(books: Books, since: datetime | None, until: datetime | None, format: Format) -> None:
    """A footnote to usage: calls that this gateway answered itself are in the sums, with no tokens."""
    if format != "table":
        return
    try:
        rows = books.usage(["outcome", "error_code"], since, until)
    except QueryError:  # of a gateway that runs an older version
        return
    counts = {row["error_code"] or "no reason": row["calls"] for row in rows if row["outcome"] == "refused"}
    if counts:
        _say(_refused(counts.items()))


def say_estimates(books: Books, since: datetime | None, until: datetime | None, format: Format) -> None:
    """A footnote to usage: calls whose usage nobody reported, by why not."""
    if format != "table":
        return
    try:
        rows = books.usage(["usage_source", "usage_reason"], since, until)
    except QueryError:  # of a gateway that runs an older version
        return
    counts = [(row["usage_reason"] or "no reason", row["calls"]) for row in rows if row["usage_source"] == "estimated"]
    if counts:
        total = sum(count for _, count in counts)
        most_first = sorted(counts, key=lambda reason: (-reason[1], reason[0]))
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in most_first)
        _say(f"{total:,} {'call' if total == 1 else 'calls'} estimated: {reasons}")


def _refused(counts: Iterable[tuple[str, int]]) -> str:
    most_first = sorted(counts, key=lambda reason: (-reason[1], reason[0]))
    total = sum(count for _, count in most_first)
    reasons = ", ".join(f"{code} {count:,}" for code, count in most_first)
    what = "1 call was refused" if total == 1 else f"{total:,} calls were refused"
    return f"{what}: {reasons}; {'it' if total == 1 else 'they'} used nothing"


def _say(text: str) -> None:
    sys.stdout.flush()
    print(f"tokenweir: {text}", file=sys.stderr)
