"""What a call cost: tokens times the prices of the configuration. Pure, exact, and without a price of its own."""

from .list_prices import Mixed, mixed_rows
from .price_list import PriceList
from .settings import Moment, Price, PriceSettings
from .tiers import known_as

__all__ = ["Mixed", "Moment", "Price", "PriceList", "PriceSettings", "known_as", "mixed_rows"]
