"""``python -m benchmarks.rating``: what it costs to find a record's prices and to make its lines, in CPU time.

Records of many models, tiers, regions and parts are priced by the whole of Azure's list below a hundred rows of a
contract, with a discount and an exchange rate on top. Ways take turns; the least time of all rounds counts.
"""

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from time import process_time

from tokenweir.pricing import (
    Adjusting,
    AdjustmentSettings,
    ExchangeRate,
    ExchangeRateSettings,
    Percent,
    Price,
    PriceList,
    PriceSettings,
    PricingSettings,
)
from tokenweir.records import CallRecord, Quantity, from_fields

from .machine import describe_machine

_NOW = datetime(2026, 11, 25, tzinfo=UTC)
_MODELS = ("gpt-4o-2024-11-20", "gpt-4.1-2025-04-14", "gpt-5.4-2026-03-05", "gpt-5.6-sol", "o4-mini", "contract-7")
_SKUS = ("GlobalStandard", "DataZoneStandard", "Standard")
_REGIONS = ("Sweden Central", "East US 2", "Japan East")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rating", description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(argv)
    prices = _prices()
    plain, mixed = _records(given.records, parts=False), _records(given.records, parts=True)
    ways: dict[str, tuple[Callable[[CallRecord], object], list[CallRecord]]] = {
        "rated: two lines": (prices.priced, plain),
        "rated: four to six lines": (prices.priced, mixed),
        "prices found": (prices.rates_for, mixed),
    }
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(given.rounds):
        for name, (work, records) in ways.items():
            gc.collect()
            begun = process_time()
            for record in records:
                work(record)
            least[name] = min(least[name], process_time() - begun)
    print(describe_machine())
    print(f"{prices!r}, {given.records:,} records, least of {given.rounds} rounds\n")
    for name, seconds in least.items():
        print(f"{name:<28}{seconds / given.records * 1e6:8.2f} µs{given.records / seconds:14,.0f} a second")
    return 0


def _prices() -> PriceList:
    contract = [
        PriceSettings(f"contract-{number}", "USD", input=Price("2"), output=Price("8")) for number in range(100)
    ]
    adjusting = Adjusting(
        "EUR",
        [ExchangeRateSettings("USD", ExchangeRate("0.92"))],
        [AdjustmentSettings(discount=Percent("7.5"), tags={"cost_centre": "7"})],
    )
    return PriceList(contract, PricingSettings(list="azure"), adjusting)


def _records(count: int, *, parts: bool) -> list[CallRecord]:
    kinds = cycle((model, sku, region) for model in _MODELS for sku in _SKUS for region in _REGIONS)
    made = []
    for number, (model, sku, region) in enumerate(islice(kinds, count)):
        more = {"cached_input_tokens": 500, "quantities": {"web_searches": Quantity(1)}} if parts else {}
        if parts and number % 2:
            more |= {"cache_write_tokens": 100, "input_image_tokens": 50}
        made.append(
            from_fields(
                call_id=f"{number}",
                started_at=_NOW + timedelta(seconds=number),
                response_model=model,
                deployment="chat",
                sku=sku,
                region=region,
                tags={"cost_centre": f"{number % 10}"},
                usage_source="reported",
                input_tokens=1_000 + number,
                output_tokens=200,
                **more,
            )
        )
    return made


if __name__ == "__main__":
    sys.exit(main())
