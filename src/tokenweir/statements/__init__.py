"""What finance is told: months that are closed and stay as they were, statements that add up, and re-rating."""

from .books import MonthsRefused, MonthStatus, StatementBooks
from .composing import GROUPS
from .rerating import CostDifference, Rated, ReRating, WantedCalls
from .settings import RateSettings, StatementSettings
from .statement import RateUsed, Statement, StatementGroup, StatementLine, Total

__all__ = [
    "GROUPS",
    "CostDifference",
    "MonthStatus",
    "MonthsRefused",
    "RateSettings",
    "RateUsed",
    "Rated",
    "ReRating",
    "Statement",
    "StatementBooks",
    "StatementGroup",
    "StatementLine",
    "StatementSettings",
    "Total",
    "WantedCalls",
]
