"""Calls to post, ledgers to post them to, and a program whose calls add up."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from support.engines import ENGINES, Engine, new_engine
from tokenweir.ledger import Ledger
from tokenweir.ledger.limits import Limits
from tokenweir.records import CallRecord, from_fields

MakeCall = Callable[..., CallRecord]

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def make_call() -> MakeCall:
    """A call with an id of its own, a minute after the one before, and whatever else is asked for."""
    numbers = itertools.count()

    def make(**fields: object) -> CallRecord:
        number = next(numbers)
        given = {"call_id": f"call-{number:04}", "started_at": START + timedelta(minutes=number)} | fields
        return from_fields(**given)

    return make


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Each engine in turn, with a place where there is nothing yet."""
    return new_engine(request, tmp_path)


@pytest.fixture
def ledger(engine: Engine) -> Iterator[Ledger]:
    engine.fill()
    ledger = engine.open()
    yield ledger
    ledger.close()


@pytest.fixture
def brief(engine: Engine) -> Iterator[Ledger]:
    """One that shows little."""
    engine.fill()
    ledger = engine.open(Limits(rows=3))
    yield ledger
    ledger.close()


@pytest.fixture
def strict(engine: Engine) -> Iterator[Ledger]:
    """One that has little patience with queries."""
    engine.fill()
    ledger = engine.open(Limits(seconds=0.2))
    yield ledger
    ledger.close()


@pytest.fixture
def busy_ledger(ledger: Ledger, make_call: MakeCall) -> Ledger:
    """A ledger with three callers, three days, two currencies, and some that used nothing."""
    calls = [
        make_call(
            api=("chat_completions", "completions", "embeddings")[number % 3],
            operation=("chat", "text_completion", "embeddings")[number % 3],
            path=f"/openai/v1/path-{number % 2}",
            stream=number % 2 == 0,
            caller=("ada", "bob", "eve")[number % 3],
            key_id=("8f14e45fceea167a", None, "c9f0f895fb98ab91")[number % 3],
            subject=f"user-{number % 2}",
            deployment=("gpt-4o", "gpt-4o-mini")[number % 2],
            requested_model="gpt-4o",
            response_model="gpt-4o-2024-11-20" if number % 4 else None,
            backend="sweden",
            region="swedencentral",
            status=200,
            started_at=START + timedelta(hours=5 * number),
            tags={"cost_centre": str(4710 + number % 2)},
            usage_source="reported" if number % 5 else "none",
            input_tokens=100 + number,
            cached_input_tokens=number,
            output_tokens=10 + number,
            reasoning_tokens=number,
            total_tokens=110 + 2 * number,
            cost=Decimal("0.001") * number if number % 5 else None,
            currency=("EUR", "USD")[number % 2] if number % 5 else None,
        )
        for number in range(30)
    ]
    ledger.post(calls, "relay-1", "30")
    return ledger
