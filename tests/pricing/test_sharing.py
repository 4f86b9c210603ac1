"""What is paid as a whole is shared out whole."""

from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from tokenweir.pricing import PtuUse, normalized_tokens, share_out, share_reservation
from tokenweir.pricing.sharing import FAMILIES


def use(team: str, model: str | None = "gpt-5-2025-08-07", sent: int = 0, cached: int = 0, answered: int = 0) -> PtuUse:
    return PtuUse((team,), model, sent, cached, answered)


def test_a_token_of_output_counts_as_many_of_input_and_a_cached_one_as_none() -> None:
    assert normalized_tokens(use("a", sent=1000, cached=400, answered=100)) == 1400
    assert normalized_tokens(use("a", "gpt-4.1", sent=1000, cached=400, answered=100)) == 1000
    assert normalized_tokens(use("a", "gpt-6-sol", sent=1000)) is None


def test_hours_go_to_whoever_used_them_and_the_rest_is_idle() -> None:
    an_hour = 4_750 * 60  # of one unit, in tokens of input
    shares = share_reservation(
        Decimal(10), Decimal("1.5"), "USD", "reserved", [use("a", sent=3 * an_hour), use("b", answered=an_hour // 8)]
    )
    assert [(share.group, share.line.quantity, share.line.amount) for share in shares] == [
        (("a",), Decimal(3), Decimal("4.5")),
        (("b",), Decimal(1), Decimal("1.5")),
        (None, Decimal(6), Decimal(9)),
    ]


def test_what_nobody_used_is_all_idle() -> None:
    [idle] = share_reservation(Decimal(720), Decimal(1), "USD", "reserved", [])
    assert (idle.group, idle.line.amount) == (None, Decimal(720))


def test_a_model_whose_measure_nobody_knows_has_a_line_without_an_amount() -> None:
    unknown, idle = share_reservation(Decimal(1), Decimal(1), "USD", "reserved", [use("a", "gpt-9", sent=10**9)])
    assert (unknown.line.amount, unknown.line.reason, idle.line.amount) == (None, "no_ptu_measure", Decimal(1))


_uses = st.lists(
    st.builds(
        lambda team, model, sent, cached, answered: use(team, model, sent, min(sent, cached), answered),
        st.sampled_from("abc"),
        st.sampled_from([*FAMILIES, "gpt-9", None]),
        *[st.integers(0, 10**10)] * 3,
    ),
    max_size=6,
)
_prices = st.decimals(0, 100, places=6)


@given(st.decimals(1, 10**6, places=3), _prices, _uses)
def test_lines_of_a_reservation_are_what_was_paid_for_it_and_none_is_negative(
    hours: Decimal, hourly: Decimal, uses: list[PtuUse]
) -> None:
    shares = share_reservation(hours, hourly, "USD", "reserved", uses)
    amounts = [share.line.amount for share in shares if share.line.amount is not None]
    assert sum(amounts) == hours * hourly
    assert all(amount >= 0 for amount in amounts)
    assert len(shares) == len(uses) + 1


@given(
    st.decimals(0, 10**9, places=2),
    st.lists(st.decimals(0, 10**9, places=12), min_size=1, max_size=20).filter(any),
)
def test_the_one_line_of_an_invoice_is_shared_out_to_its_last_place(total: Decimal, weights: list[Decimal]) -> None:
    parts = share_out(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    assert all(
        abs(part * whole - total * weight) <= whole / 10**12 * 2 for part, weight in zip(parts, weights, strict=True)
    )


def test_nothing_can_be_shared_by_nothing() -> None:
    with pytest.raises(ValueError, match="nothing to share by"):
        share_out(Decimal(1), [Decimal(0)])
