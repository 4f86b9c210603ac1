"""What every call used, kept for good and asked from many sides."""

from .base import Ledger, LedgerError, LedgerLocked, Table
from .grouping import GROUPINGS, SUMS
from .moments import parse_moment
from .names import unknown_name
from .opening import open_ledger
from .reports import report, report_names
from .settings import LedgerSettings

__all__ = [
    "GROUPINGS",
    "SUMS",
    "Ledger",
    "LedgerError",
    "LedgerLocked",
    "LedgerSettings",
    "Table",
    "open_ledger",
    "parse_moment",
    "report",
    "report_names",
    "unknown_name",
]
