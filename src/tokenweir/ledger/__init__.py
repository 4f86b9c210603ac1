"""What every call used, kept for good and asked from many sides."""

from .base import Ledger, LedgerError, LedgerLocked, Piece, Table
from .grouping import FILTERS, GROUPINGS, SUMS, TAG
from .limits import MOST_QUERIES, TooManyQueries
from .opening import NO_LEDGER, check_url, ledger_file, ledger_opener, open_ledger
from .parsing import UTC_ZONE, parse_moment, parse_month, parse_timezone, unknown_name
from .person import Person
from .reports import report, report_names
from .settings import LedgerSettings
from .verifying import Altered, MissingNumbers, Verification

__all__ = [
    "Altered",
    "FILTERS",
    "GROUPINGS",
    "MOST_QUERIES",
    "NO_LEDGER",
    "SUMS",
    "TAG",
    "UTC_ZONE",
    "MissingNumbers",
    "Ledger",
    "LedgerError",
    "LedgerLocked",
    "LedgerSettings",
    "Person",
    "Piece",
    "Table",
    "TooManyQueries",
    "Verification",
    "check_url",
    "ledger_file",
    "ledger_opener",
    "open_ledger",
    "parse_moment",
    "parse_month",
    "parse_timezone",
    "report",
    "report_names",
    "unknown_name",
]
