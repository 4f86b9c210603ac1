"""A statement as one page of HTML that prints well: no script, no file beside it."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from .statement import Statement, StatementGroup, Total
from .tables import group_rows, money_text, quantity_text, share_text

__all__ = ["about", "as_html", "facts_of", "lines_table", "summary_table"]

_STYLE: Final = """
@page { size: A4 landscape; margin: 14mm 12mm; @bottom-right { content: counter(page) " / " counter(pages); } }
:root { --ink: #1b1f24; --soft: #59636e; --rule: #d1d9e0; --band: #f6f8fa; }
body { font: 13px/1.45 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: var(--ink); margin: 2rem auto;
  max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; break-after: avoid; }
p.about, dl { color: var(--soft); } p.about { margin: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: 1rem 0; }
dt { font-weight: 600; } dd { margin: 0; color: var(--ink); overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } thead { display: table-header-group; }
th, td { padding: .28rem .5rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
th { border-bottom: 2px solid var(--ink); font-weight: 600; } tr { break-inside: avoid; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tfoot td { font-weight: 600; border-top: 2px solid var(--ink); border-bottom: 0; background: var(--band); }
.state { display: inline-block; padding: .05rem .5rem; border: 1px solid var(--ink); border-radius: 1rem; }
.soft { color: var(--soft); } ul { padding-left: 1.1rem; } code { font-size: .92em; overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; padding: 0; font-size: 9.5px; } a { color: inherit; } }
@media (max-width: 40rem) { body { font-size: 12px; } .wide { overflow-x: auto; } }
"""

Cell = tuple[str, bool]
"""A text, and whether it is a number."""
Cells = tuple[list[Cell], list[list[Cell]], list[list[Cell]]]
"""A table: its head, its rows, and what stands under them."""


def as_html(statement: Statement) -> str:
    """The whole document."""
    title = f"Statement {statement.period}"
    body = [
        f"<h1>{_text(title)} <span class='state'>{'closed' if statement.is_closed else 'open'}</span></h1>",
        f"<p class='about'>{_text(about(statement))}</p>",
        _facts(statement),
        "<h2>Summary</h2>",
        _table(*summary_table(statement)),
        *_groups(statement),
        "<h2>Notes</h2>",
        "<ul>" + "".join(f"<li>{_text(note)}</li>" for note in statement.notes) + "</ul>",
        "<h2>How to check it</h2>",
        "<p>The exact amounts, before they are rounded and converted, are the answer to this query:</p>",
        f'<p><code>tokenweir query "{_text(statement.check)}"</code></p>',
    ]
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _facts(statement: Statement) -> str:
    facts = "".join(f"<dt>{_text(name)}</dt><dd>{_text(what)}</dd>" for name, what in facts_of(statement))
    return f"<dl>{facts}</dl>"


def about(statement: Statement) -> str:
    """What stands under its title."""
    return f"{statement.organisation or 'Tokenweir'}: use of models, by {', '.join(statement.by) or 'nothing'}"


def facts_of(statement: Statement) -> Iterator[tuple[str, str]]:
    """What stands at the head of a statement."""
    until = f"{statement.since:%Y-%m-%d %H:%M} until {statement.until:%Y-%m-%d %H:%M} UTC ({statement.timezone})"
    yield "Period", until
    if statement.fiscal:
        yield "Fiscal period", statement.fiscal
    if statement.closed_at is not None:
        yield (
            "Closed",
            f"{statement.closed_at:%Y-%m-%d %H:%M} UTC by {statement.closed_by}; it stays as it is",
        )
    else:
        yield "As of", f"{statement.as_of:%Y-%m-%d %H:%M:%S} UTC; it changes until it is closed"
    for total in statement.totals:
        estimated, unpriced = share_text(total)
        told = [f"{estimated} estimated" if estimated else "", f"without a price: {unpriced}" if unpriced else ""]
        more = f" ({'; '.join(one for one in told if one)})" if any(told) else ""
        name = f"Total {total.currency}" if total.currency else "Without a price"
        yield name, f"{money_text(total.amount, is_floor=total.is_floor)}{more}"
    for rate in statement.rates:
        yield "Rate", f"1 {rate.currency} = {rate.rate:f} {rate.into} for {rate.of_period}"
    if statement.digest:
        yield "Digest of its rows", f"SHA-256 {statement.digest}"


def summary_table(statement: Statement) -> Cells:
    """All groups, and the totals."""
    heads: list[Cell] = [
        *((name, False) for name in statement.by),
        *((name, True) for name in ("calls", "tokens", "estimated", "without a price", "adjustments", "amount")),
        ("currency", False),
    ]
    rows = [[*((cell or "(none)", False) for cell in cells), *_sums(group)] for cells, group in group_rows(statement)]
    total: list[Cell] = [("" if place else "Total", False) for place in range(len(statement.by))]
    feet = [[*total, *_sums(one)] for one in statement.totals]
    return heads, rows, feet


def _sums(of: StatementGroup | Total) -> list[Cell]:
    estimated, unpriced = share_text(of)
    return [
        (f"{of.calls:,}", True),
        (quantity_text(of.tokens), True),
        (estimated, True),
        (unpriced, True),
        (money_text(of.adjustments) if of.adjustments else "", True),
        (money_text(of.amount, is_floor=of.is_floor), True),
        (of.currency or "", False),
    ]


def _groups(statement: Statement) -> Iterator[str]:
    for cells, group in group_rows(statement):
        name = " · ".join(cell or "(none)" for cell in cells) or "All"
        yield f"<h2>{_text(name)}</h2>"
        yield _table(*lines_table(group))


def lines_table(group: StatementGroup) -> Cells:
    """The lines of a group, and their sum."""
    heads: list[Cell] = [
        *((name, False) for name in ("model", "tier, SKU, region", "meter")),
        *((name, True) for name in ("quantity", "rate", "amount")),
        ("", False),
    ]
    rows: list[list[Cell]] = []
    for line in group.lines:
        rate = "" if line.rate is None else f"{line.rate:f} {line.price_currency or ''} / {line.per:,} {line.unit}"
        place = ", ".join(part for part in (line.tier, line.sku, line.region) if part)
        remarks = [] if line.kind == "charge" else [f"{line.kind}, {line.of_period}"]
        if line.estimated:
            remarks.append("estimated" if line.estimated == line.exact else "partly estimated")
        if line.reason:
            remarks.append(line.reason)
        rows.append(
            [
                (line.model or "", False),
                (place, False),
                (line.meter, False),
                (f"{quantity_text(line.quantity)} {line.unit or ''}", True),
                (rate, True),
                (money_text(line.amount, is_floor=line.amount is None and line.reason is not None), True),
                ("; ".join(remarks), False),
            ]
        )
    feet: list[list[Cell]] = [
        [
            ("Sum", False),
            *[("", False)] * 4,
            (money_text(group.amount, is_floor=group.is_floor), True),
            (group.currency or "", False),
        ]
    ]
    return heads, rows, feet


def _table(heads: Sequence[Cell], rows: Iterable[Sequence[Cell]], feet: Iterable[Sequence[Cell]]) -> str:
    return (
        "<div class='wide'><table><thead>"
        + _row("th", heads)
        + "</thead><tbody>"
        + "\n".join(_row("td", row) for row in rows)
        + "</tbody><tfoot>"
        + "".join(_row("td", row) for row in feet)
        + "</tfoot></table></div>"
    )


def _row(tag: str, cells: Iterable[Cell]) -> str:
    return "<tr>" + "".join(f"<{tag}{_NUMBER if n else ''}>{_text(text)}</{tag}>" for text, n in cells) + "</tr>"


_NUMBER: Final = " class='n'"


def _text(text: str) -> str:
    return escape(text)
