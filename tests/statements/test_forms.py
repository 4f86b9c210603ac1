"""Every form of a statement says the same amounts, and says what is not known."""

import csv
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from support.focus_validator import validate
from tokenweir.errors import ConfigError
from tokenweir.ledger import ChargeSum, KeptSum
from tokenweir.statements import GROUPS, Statement
from tokenweir.statements.composing import compose
from tokenweir.statements.focus import FOCUS_COLUMNS, focus_rows, left_out
from tokenweir.statements.html import as_html
from tokenweir.statements.pdf import as_pdf
from tokenweir.statements.tables import LINE_COLUMNS, line_rows

from .conftest import NOVEMBER, Finance, at, used

TEXTS = st.sampled_from(["a", "b", None])
SUMS = st.builds(
    lambda rate, quantity, **fields: ChargeSum(
        rate=rate,
        quantity=Decimal(quantity),
        amount=None if rate is None else rate * quantity / 10**6,
        reason="no_price" if rate is None else None,
        unit="tokens",
        per=10**6,
        **fields,
    ),
    rate=st.none() | st.integers(1, 10**9).map(lambda units: Decimal(units) / 10**6),
    quantity=st.integers(-(10**9), 10**9),
    entry=st.sampled_from(["call", "correction"]),
    caller=TEXTS,
    tags=st.sampled_from([{}, {"cost_centre": "1"}, {"cost_centre": "2"}]),
    response_model=TEXTS,
    service_tier=TEXTS,
    usage_source=st.sampled_from(["reported", "estimated"]),
    meter=st.sampled_from(["input", "output"]),
    currency=st.sampled_from(["EUR", "USD", "JPY", None]),
    calls=st.integers(-2, 5),
)


@settings(max_examples=150)
@given(
    sums=st.lists(SUMS, max_size=25),
    by=st.lists(st.sampled_from([*GROUPS, "cost_centre"]), max_size=3, unique=True),
    months=st.lists(st.sampled_from(["2026-10", "2026-11"]), min_size=25, max_size=25),
    into=st.sampled_from([None, "EUR", "KWD"]),
)
def test_lines_add_up_to_groups_and_groups_to_totals_in_every_grouping_and_currency(
    sums: list[ChargeSum], by: list[str], months: list[str], into: str | None
) -> None:
    rows = [KeptSum(month, one) for month, one in zip(months, sums, strict=False)]
    rate = Decimal("1.234567")
    made = compose(rows, by, "2026-11", into, lambda of, month: rate, {})
    for group in made.groups:
        assert add(line.amount for line in group.lines) == (group.amount or 0)
        assert add(line.exact for line in group.lines) == (group.exact or 0)
        assert sum(line.calls for line in group.lines) == group.calls
        for line in group.lines:
            assert (line.amount is None) == (line.exact is None)
            assert line.amount is None or line.exact is None or abs(line.amount - line.exact) < 1
    for total in made.totals:
        groups = [group for group in made.groups if group.currency == total.currency]
        assert add(group.amount for group in groups) == (total.amount or 0)
        assert add(group.adjustments for group in groups) == total.adjustments
    exact = add(
        one.amount if one.amount is None or into in (None, one.currency) or one.currency is None else one.amount * rate
        for one in sums
    )
    assert add(total.exact for total in made.totals) == exact
    assert sum(total.calls for total in made.totals) == sum(one.calls for one in sums)


def add(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((amount for amount in amounts if amount is not None), Decimal(0))


@pytest.fixture
def statement(finance: Finance) -> Statement:
    """November, with an adjustment of October, estimates, something without a price, and names that need care."""
    nothing = at(None)
    finance.post(used("a", input_tokens=4_000_000))
    finance.books.close("2026-10", "fin")
    november = NOVEMBER + timedelta(days=2)
    finance.post(
        used("late", input_tokens=2_000_000),
        used("b", november, input_tokens=3_333_333, region="Sweden Central", sku="ptu", tags={"cost_centre": '<b>&"'}),
        used("c", november, input_tokens=10_000, usage_source="estimated"),
        nothing(used("d", november, input_tokens=700)),
    )
    return finance.books.statement("2026-11", "cost_centre,caller")


def test_a_spreadsheet_has_every_line_and_its_amounts_add_up(statement: Statement) -> None:
    columns = [*statement.by, *LINE_COLUMNS]
    rows = [dict(zip(columns, row, strict=True)) for row in line_rows(statement)]
    assert sum(Decimal(row["amount"]) for row in rows if row["amount"]) == statement.totals[0].amount
    assert {row["kind"] for row in rows} == {"charge", "late"}
    assert [row["reason"] for row in rows if row["amount"] is None] == ["no_price"]


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_is_well_formed_loads_nothing_and_says_that_it_is_a_floor(statement: Statement) -> None:
    page = as_html(statement)
    cells = _Cells()
    cells.feed(page)
    assert cells.open == []
    text = " ".join(cells.texts)
    for said in ("at least", "unpriced", "late, 2026-10", "2.5 EUR / 1,000,000 tokens", '<b>&"', "estimated", "(UTC)"):
        assert said in text
    assert "http" not in page.replace("charset", "") and "<script" not in page


def test_the_pdf_has_pages_and_is_the_same_each_time(statement: Statement) -> None:
    pdf = as_pdf(statement)
    assert pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF")
    assert as_pdf(statement) == pdf


def test_a_name_that_no_font_has_says_what_to_do(statement: Statement, finance: Finance, tmp_path: Path) -> None:
    finance.post(used("x", NOVEMBER, caller="\U0001f980"))
    crab = finance.books.statement("2026-11", "caller")
    with pytest.raises(ConfigError, match="--font"):
        as_pdf(crab)
    wrong = tmp_path / "font.ttf"
    wrong.write_bytes(b"no font")
    with pytest.raises(ConfigError, match="no TrueType font"):
        as_pdf(crab, wrong)


def test_the_finops_foundations_validator_accepts_the_export(statement: Statement, tmp_path: Path) -> None:
    file = tmp_path / "focus.csv"
    rows = list(focus_rows(statement, None))
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(FOCUS_COLUMNS)
        writer.writerows(rows)
    billed = [Decimal(dict(zip(FOCUS_COLUMNS, row, strict=True))["BilledCost"]) for row in rows]
    assert sum(billed) == statement.totals[0].amount
    assert left_out(statement) == 1
    said = validate(file)
    assert "Validation succeeded" in said, said


def test_the_validator_is_no_rubber_stamp(statement: Statement, tmp_path: Path) -> None:
    file = tmp_path / "focus.csv"
    file.write_text("BilledCost\nmuch\n")
    assert "Validation succeeded" not in validate(file)
