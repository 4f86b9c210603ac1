"""Messages as the sinks send them, and a broker they come from."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from support.kafka_broker import Broker, running_broker
from tokenweir.delivery import BrokerMessage
from tokenweir.records import CallRecord, flat, from_fields, new_call_id

MakeRecord = Callable[..., CallRecord]


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    def make(**fields: object) -> CallRecord:
        given = {
            "call_id": new_call_id(),
            "replica": "r",
            "started_at": datetime(2026, 3, 1, tzinfo=UTC),
            "caller": "ada",
            "tags": {"cost_centre": "4711"},
            "cost": Decimal("0.0012"),
            "finish_reasons": ["stop"],
        }
        return from_fields(**(given | fields))

    return make


@pytest.fixture(scope="session")
def as_messages() -> Callable[..., list[BrokerMessage]]:
    """A record as one message, or in so many parts."""

    def messages(record: CallRecord, parts: int = 1) -> list[BrokerMessage]:
        data = msgspec.json.encode(flat(record))
        properties = {
            "call_id": record.call_id,
            "replica": record.replica,
            "seq": str(record.seq),
            "shape": "tokenweir",
        }
        if parts == 1:
            return [BrokerMessage(body=data, properties=properties, place="somewhere")]
        size = -(-len(data) // parts)
        cut = [data[start : start + size] for start in range(0, len(data), size)]
        return [
            BrokerMessage(
                body=piece,
                properties=properties | {"part": str(number), "parts": str(len(cut))},
                place=f"somewhere, part {number}",
            )
            for number, piece in enumerate(cut, start=1)
        ]

    return messages


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    with running_broker() as running:
        yield running


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
