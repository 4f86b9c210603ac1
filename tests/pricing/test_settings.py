"""Prices and moments as people write them."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from tokenweir.pricing import Moment, Price


@pytest.mark.parametrize(
    ("written", "price"),
    [
        ("2.50", "2.5"),
        (" 0 ", "0"),
        ("0.000001", "0.000001"),
        ("1.5000000", "1.5"),
        (3, "3"),
        (2.5, "2.5"),
        (0.1, "0.1"),
    ],
)
def test_a_price_is_what_is_written(written: str | int | float, price: str) -> None:
    assert Price.parse(written) == Decimal(price)


@pytest.mark.parametrize("written", ["-1", -0.5, "", "two", "2,50", "1e3", "NaN", float("inf"), "0.0000001", 0.1 + 0.2])
def test_what_is_no_price_is_refused(written: str | float) -> None:
    with pytest.raises(ValueError, match="is not a price"):
        Price.parse(written)


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-01",
        date(2026, 11, 1),
        "2026-11-01T01:00:00+01:00",
        datetime(2026, 11, 1),
        datetime(2026, 11, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        "2026-11-01 00:00",
    ],
)
def test_a_moment_is_in_utc(written: str | date) -> None:
    moment = Moment.parse(written)
    assert (moment, moment.tzinfo) == (datetime(2026, 11, 1, tzinfo=UTC), UTC)


@pytest.mark.parametrize("written", ["soon", "", "2026-13-01"])
def test_what_is_no_moment_is_refused(written: str) -> None:
    with pytest.raises(ValueError):
        Moment.parse(written)
