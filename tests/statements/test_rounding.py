"""Cents add up: of parts to their whole, whatever the amounts, their signs and the currency."""

from decimal import Decimal

from hypothesis import given, strategies as st

from tokenweir.statements.rounding import minor_unit, rounded, shared_out

AMOUNTS = st.lists(st.decimals(-(10**9), 10**9, places=12).map(Decimal), min_size=1, max_size=30)


@given(parts=AMOUNTS, currency=st.sampled_from(["EUR", "JPY", "KWD", None]))
def test_parts_add_up_and_none_is_more_than_a_cent_off(parts: list[Decimal], currency: str | None) -> None:
    unit = minor_unit(currency)
    whole = rounded(sum(parts, Decimal(0)), unit)
    shares = shared_out(whole, parts, unit)
    assert sum(shares) == whole
    assert all(abs(share - part) < unit for share, part in zip(shares, parts, strict=True))
    assert all(share % unit == 0 for share in shares)


@given(groups=st.lists(AMOUNTS, min_size=1, max_size=8))
def test_parts_of_parts_add_up_too(groups: list[list[Decimal]]) -> None:
    unit = minor_unit("EUR")
    exact = [sum(parts, Decimal(0)) for parts in groups]
    amounts = shared_out(rounded(sum(exact, Decimal(0)), unit), exact, unit)
    for parts, amount in zip(groups, amounts, strict=True):
        assert sum(shared_out(amount, parts, unit)) == amount


def test_a_third_of_a_cent_three_times_is_a_cent_of_the_first() -> None:
    third = Decimal("0.003333333333")
    assert shared_out(Decimal("0.01"), [third] * 3, Decimal("0.01")) == [Decimal("0.01"), Decimal(0), Decimal(0)]
