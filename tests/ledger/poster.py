"""A process that posts the calls of one journal, batch after batch, until it is killed or has posted all.

It writes ``<`` to stdout before each batch and ``>`` behind it.
"""

import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tokenweir.ledger import Ledger, open_ledger
from tokenweir.records import CallRecord, from_fields

SOURCE = "relay-1"


def calls_between(start: int, stop: int) -> Iterator[CallRecord]:
    """What the journal holds: the same calls whenever they are read."""
    for number in range(start, stop):
        yield from_fields(
            call_id=f"{number:08}",
            started_at=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=number),
            caller=f"caller-{number % 7}",
            total_tokens=number,
            request_body=f"{number:08}" * 500 if number % 5 == 0 else None,
        )


def post_all(ledger: Ledger, total: int, chance: random.Random) -> Iterator[None]:
    """Posts from the ledger's position on, now and then from before it, as after a crash. Stops in between."""
    while (position := int(ledger.position(SOURCE) or 0)) < total:
        start = max(0, position - chance.choice([0, 0, 50]))
        stop = min(total, position + chance.choice([1, 10, 100, 600]))
        yield
        ledger.post(list(calls_between(start, stop)), SOURCE, str(stop))
        yield


def main() -> None:
    url, total, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ledger = open_ledger(url)
    for number, _ in enumerate(post_all(ledger, total, random.Random(seed))):
        sys.stdout.write("<>"[number % 2])
        sys.stdout.flush()
    ledger.close()


if __name__ == "__main__":
    main()
