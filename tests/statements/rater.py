"""A process that rates all calls of a ledger anew and books the difference, until it is killed or done.

It writes ``.`` to stdout after each slice of calls, ``<`` before it books, and ``>`` behind it.
"""

import sys
from datetime import UTC, datetime
from decimal import Decimal

from tokenweir.delivery.pricer import Pricer
from tokenweir.ledger import accounts, open_ledger
from tokenweir.pricing import PriceSettings
from tokenweir.records import SystemClock
from tokenweir.statements import ReRating, WantedCalls


def say(mark: str) -> None:
    sys.stdout.write(mark)
    sys.stdout.flush()


def main(url: str, rate: str) -> None:
    accounts._SLICE_CALLS = 600
    price = Pricer([PriceSettings(model="gpt-4o", currency="EUR", input=Decimal(rate), output=Decimal(0))])  # type: ignore[arg-type]
    ledger = open_ledger(url)
    rating = ReRating(ledger, price, SystemClock())
    rated = rating.rate(WantedCalls(since=datetime(2026, 1, 1, tzinfo=UTC)), lambda calls: say("."))
    say("<")
    if rated.corrected:
        rating.book(rated, "rater")
    say(">")
    ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
