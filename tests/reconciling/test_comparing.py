"""Two countings side by side, and what is said of their differences."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, strategies as st

from tokenweir.reconciling import Compared, Told, compare, own_amounts, summed

DAY = date(2026, 10, 31)


def usage(**fields: Any) -> dict[str, Any]:
    """A row as `Ledger.usage` gives it."""
    return {
        "day": DAY.isoformat(),
        "deployment": "chat",
        "model": "gpt-4o-2024-08-06",
        "usage_source": "reported",
        "usage_reason": None,
        "calls": 10,
        "input_tokens": 14_500,
        "cached_input_tokens": 2_000,
        "output_tokens": 700,
        "unpriced": 0,
        "cost": "0.0407500",
        "currency": "EUR",
    } | fields


def one(told: list[Told], *rows: dict[str, Any]) -> Compared:
    [row] = compare(told, own_amounts(rows))
    return row


def test_a_bill_that_agrees_is_told_without_reasons() -> None:
    rows = compare(
        [
            Told(DAY, "input", Decimal(12_500), model="gpt 4o 0806"),
            Told(DAY, "cached_input", Decimal(2_000), model="gpt 4o 0806"),
            Told(DAY, "output", Decimal(700), model="gpt 4o 0806"),
            Told(DAY, "cost", Decimal("0.04075"), model="gpt 4o 0806", currency="EUR"),
        ],
        own_amounts([usage()]),
    )

    assert len(rows) == 4
    assert all(row.difference == 0 and not row.reasons for row in rows)
    assert {row.model for row in rows} == {"gpt-4o"}


def test_a_bill_that_is_rounded_to_thousands_agrees() -> None:
    row = one([Told(DAY, "output", Decimal(1000), model="gpt-4o", step=Decimal(1000))], usage())

    assert row.difference == 300
    assert row.reasons == ("rounding",)


def test_more_than_we_have_went_past_the_gateway() -> None:
    assert one([Told(DAY, "output", Decimal(900), "chat", "gpt-4o")], usage()).reasons == (
        "not explained: perhaps calls past the gateway",
    )
    elsewhere = compare([Told(DAY, "output", Decimal(900), "batch", "gpt-4o")], own_amounts([usage()]))
    assert [row.reasons[0].partition(":")[0] for row in elsewhere] == ["no calls here", "not in the file"]


def test_estimates_unmetered_and_unpriced_calls_are_named() -> None:
    estimated = [usage(), usage(usage_source="estimated", output_tokens=50)]
    assert "50 of ours are estimated" in one([Told(DAY, "output", Decimal(740), "chat")], *estimated).reasons

    silent = usage(usage_source="none", usage_reason="unmetered", calls=3, output_tokens=0)
    assert "3 calls here are unmetered" in one([Told(DAY, "output", Decimal(900), "chat")], usage(), silent).reasons

    row = one([Told(DAY, "cost", Decimal(1), model="gpt-4o", currency="EUR")], usage(unpriced=2))
    assert "2 calls here are unpriced" in row.reasons


def test_what_moved_over_midnight_is_told_on_both_days() -> None:
    rows = compare(
        [Told(DAY, "output", Decimal(500), "chat"), Told(DAY + timedelta(days=1), "output", Decimal(900), "chat")],
        own_amounts([usage(), usage(day="2026-11-01")]),
    )

    assert [row.difference for row in rows] == [-200, 200]
    assert all("time zone or late usage" in row.reasons[0] for row in rows)
    [whole] = summed(rows, [])
    assert (whole.theirs, whole.ours, whole.difference) == (Decimal(1400), Decimal(1400), Decimal(0))


def test_a_file_that_ends_early_is_told() -> None:
    rows = compare([Told(DAY, "calls", Decimal(10), "chat")], own_amounts([usage(), usage(day="2026-11-01")]))

    assert rows[1].reasons == ("the file does not have this day",)


def test_an_unused_reservation_is_named() -> None:
    told = Told(DAY, "cost", Decimal(24), model="provisioned", currency="EUR", note="UnusedReservation: PTU")

    [row] = [row for row in compare([told], own_amounts([usage()])) if row.theirs]
    assert "UnusedReservation: PTU" in row.reasons


_days = st.dates(date(2026, 10, 1), date(2026, 10, 5))
_names = st.sampled_from(["chat", "batch", "köln"])
_told = st.builds(
    Told,
    _days,
    st.sampled_from(["prompt", "output", "calls"]),
    st.decimals(0, 10**9, places=3),
    _names,
    st.none() | st.sampled_from(["gpt-4o", "gpt 4o 0806", "o3"]),
    step=st.just(Decimal(1)),
)
_rows = st.builds(
    lambda day, name, model, tokens: usage(
        day=day.isoformat(), deployment=name, model=model, input_tokens=tokens, cached_input_tokens=0
    ),
    _days,
    _names,
    st.sampled_from(["gpt-4o-2024-08-06", "gpt-4o", "o3", None]),
    st.integers(0, 10**9),
)


@given(st.lists(_told, min_size=1), st.lists(_rows), st.sets(st.sampled_from(["day", "deployment", "model"])))
def test_nothing_gets_lost_between_the_two_however_it_is_summed(
    told: list[Told], rows: list[dict[str, Any]], names: set[str]
) -> None:
    compared = compare(told, own_amounts(rows))
    by_names = summed(compared, names)

    for meter in ("prompt", "output", "calls"):
        whole = sum((told_one.amount for told_one in told if told_one.meter == meter), Decimal(0))
        assert sum((row.theirs for row in by_names if row.meter == meter), Decimal(0)) == whole
    if any(told_one.meter == "prompt" for told_one in told):
        ours = sum((row.ours for row in by_names if row.meter == "prompt"), Decimal(0))
        assert ours == sum(row["input_tokens"] for row in rows)
    assert all(row.reasons for row in compared if row.difference)
