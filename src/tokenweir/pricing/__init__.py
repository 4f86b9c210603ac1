"""What a call cost: quantities times the prices of the configuration. Pure and exact."""

from .adjusting import Adjusting
from .azure_list import ListedRow, azure_list, read_table
from .comparing import ListedPrice, PriceChange, compared, listed_prices
from .deployment_types import DeploymentType, type_of_sku
from .list_prices import Mixed, mixed_rows
from .meters import METERS, BillingMeter, meters_table
from .price_list import PriceList
from .rates import MeterPrice, Rates
from .reservations import share_month
from .settings import (
    AdjustmentSettings,
    ExchangeRate,
    ExchangeRateSettings,
    Moment,
    Percent,
    Price,
    PriceSettings,
    PricingSettings,
    ReservationSettings,
)
from .sharing import PtuShare, PtuUse, normalized_tokens, share_out, share_reservation
from .tiers import known_as

__all__ = [
    "METERS",
    "Adjusting",
    "AdjustmentSettings",
    "BillingMeter",
    "DeploymentType",
    "ExchangeRate",
    "ExchangeRateSettings",
    "ListedPrice",
    "ListedRow",
    "MeterPrice",
    "Mixed",
    "Moment",
    "Percent",
    "Price",
    "PriceChange",
    "PriceList",
    "PriceSettings",
    "PricingSettings",
    "PtuShare",
    "PtuUse",
    "Rates",
    "ReservationSettings",
    "azure_list",
    "compared",
    "known_as",
    "listed_prices",
    "meters_table",
    "mixed_rows",
    "normalized_tokens",
    "read_table",
    "share_month",
    "share_out",
    "share_reservation",
    "type_of_sku",
]
