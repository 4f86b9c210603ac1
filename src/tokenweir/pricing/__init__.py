"""What a call cost: quantities times the prices of the configuration. Pure, exact, and without a price of its own."""

from .list_prices import Mixed, mixed_rows
from .meters import METERS, BillingMeter, meters_table
from .price_list import PriceList
from .settings import Moment, Price, PriceSettings
from .tiers import known_as

__all__ = [
    "METERS",
    "BillingMeter",
    "Mixed",
    "Moment",
    "Price",
    "PriceList",
    "PriceSettings",
    "known_as",
    "meters_table",
    "mixed_rows",
]
