"""A ledger, a clock, and the statements over them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.clocks import JumpingClock
from tokenweir.ledger import Ledger, open_ledger
from tokenweir.records import CallRecord, ChargeLine, from_fields
from tokenweir.statements import ReRating, StatementBooks, StatementSettings

OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def used(call_id: str, started_at: datetime = OCTOBER + timedelta(days=9), **fields: Any) -> CallRecord:
    """A call of a thousand tokens, as `at` rates it unless something else is said."""
    record = from_fields(
        call_id=call_id,
        started_at=started_at,
        usage_source=fields.pop("usage_source", "reported"),
        input_tokens=fields.pop("input_tokens", 1000),
        **({"caller": "ada", "tags": {"cost_centre": "4711"}, "requested_model": "gpt-4o"} | fields),
    )
    return record if record.charges or record.cost is not None else at(Decimal("2.50"))(record)


def at(rate: Decimal | None, currency: str = "EUR") -> Callable[[CallRecord], CallRecord]:
    """Rates calls at so much for a million tokens; ``None``: there is no price."""

    def price(record: CallRecord) -> CallRecord:
        tokens = record.usage.input_tokens
        amount = None if rate is None else rate * tokens / 10**6
        reason = "no_price" if rate is None else None
        name = None if rate is None else f"gpt-4o@{rate}"
        line = ChargeLine("input", tokens, "tokens", rate, 10**6, amount, name, reason, currency if rate else None)
        return msgspec.structs.replace(
            record,
            charges=[line],
            cost=amount,
            currency=None if rate is None else currency,
            price_id=name,
            cost_reason=reason,
        )

    return price


class Finance:
    """Statements of one ledger, as of a moment that can be changed."""

    def __init__(self, ledger: Ledger, **settings: Any) -> None:
        self.ledger = ledger
        self.clock = JumpingClock(NOW)
        self.settings = StatementSettings(**settings)

    @property
    def books(self) -> StatementBooks:
        return StatementBooks(self.ledger, self.settings, self.clock)

    def rating(self, price: Callable[[CallRecord], CallRecord]) -> ReRating:
        return ReRating(self.ledger, price, self.clock)

    def post(self, *records: CallRecord) -> None:
        self.ledger.post(records, "source", None)


@pytest.fixture
def finance(tmp_path: Path) -> Iterator[Finance]:
    ledger = open_ledger(f"duckdb:{tmp_path}/ledger.duckdb")
    yield Finance(ledger)
    ledger.close()
