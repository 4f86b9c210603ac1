"""Records made to fit, and no others touched."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, strategies as st

from tokenweir.ledger.storable import storable
from tokenweir.records import ChargeLine, SystemClock, from_fields

NOW = SystemClock().now()


@given(
    subject=st.text() | st.none(),
    tokens=st.integers(),
    cost=st.decimals() | st.none(),
    usage=st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())),
    supports_nul=st.booleans(),
)
def test_what_is_made_to_fit_fits(
    subject: str | None, tokens: int, cost: Decimal | None, usage: dict[str, object], supports_nul: bool
) -> None:
    given = from_fields(call_id="1", started_at=NOW, subject=subject, input_tokens=tokens, cost=cost, usage=usage)
    made = storable(given, "an engine", supports_nul=supports_nul)
    if supports_nul:
        assert (made.subject, made.usage.raw) == (subject, usage)
    else:
        assert "\0" not in f"{made.subject}"
        assert b"\\u0000" not in msgspec.json.encode(made.usage.raw).replace(rb"\\\\", b"")
    assert -(2**63) <= made.usage.input_tokens < 2**63
    assert made.cost is None or (made.cost.is_finite() and abs(made.cost) < 10**26)
    assert storable(made, "an engine", supports_nul=supports_nul) is made


def test_lines_of_a_charge_are_made_to_fit_too() -> None:
    text, number = (ChargeLine("input", 5, "a\0b"), ChargeLine("input", 2**64, "tokens"))
    given = from_fields(call_id="1", started_at=NOW, charges=[text])
    assert storable(given, "an engine", supports_nul=True) is given
    assert storable(given, "an engine", supports_nul=False).charges == [ChargeLine("input", 5, "a\ufffdb")]
    assert storable(from_fields(call_id="1", started_at=NOW, charges=[number]), "it", supports_nul=True).charges == []


def test_a_record_that_fits_is_the_same_one() -> None:
    record = from_fields(call_id="1", started_at=NOW, input_tokens=2**63 - 1, cost=Decimal("0.1"), request_body="{}")
    assert storable(record, "an engine", supports_nul=False) is record


def test_what_is_changed_is_logged_with_the_engine_that_needs_it(caplog: pytest.LogCaptureFixture) -> None:
    storable(from_fields(call_id="17", started_at=NOW, input_tokens=2**63), "ClickHouse", supports_nul=True)
    assert "record 17: ClickHouse cannot hold its input_tokens as it is" in caplog.text
