"""What every call used, kept for good and asked from many sides."""

from .base import Ledger, LedgerError, LedgerLocked, Table
from .grouping import GROUPINGS, SUMS
from .limits import MOST_QUERIES, TooManyQueries
from .opening import NO_LEDGER, check_url, ledger_file, ledger_opener, open_ledger
from .parsing import parse_moment, unknown_name
from .reports import report, report_names
from .settings import LedgerSettings

__all__ = [
    "GROUPINGS",
    "MOST_QUERIES",
    "NO_LEDGER",
    "SUMS",
    "Ledger",
    "LedgerError",
    "LedgerLocked",
    "LedgerSettings",
    "Table",
    "TooManyQueries",
    "check_url",
    "ledger_file",
    "ledger_opener",
    "open_ledger",
    "parse_moment",
    "report",
    "report_names",
    "unknown_name",
]
