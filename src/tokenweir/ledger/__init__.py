"""What every call used, kept for good and asked from many sides."""

from .base import Ledger, LedgerError, LedgerLocked, Piece, Table
from .charge_lines import NOT_ITEMISED, NOTHING, UNMETERED, ChargeSum
from .corrections import Correction, RatingRun
from .grouping import FILTERS, GROUPINGS, SUMS, TAG
from .limits import MOST_QUERIES, TooManyQueries
from .months import ClosedMonth, KeptSum, digest_of
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
    "NOTHING",
    "NOT_ITEMISED",
    "NO_LEDGER",
    "SUMS",
    "TAG",
    "UNMETERED",
    "UTC_ZONE",
    "MissingNumbers",
    "ChargeSum",
    "ClosedMonth",
    "Correction",
    "KeptSum",
    "Ledger",
    "LedgerError",
    "LedgerLocked",
    "LedgerSettings",
    "Person",
    "Piece",
    "RatingRun",
    "Table",
    "TooManyQueries",
    "Verification",
    "check_url",
    "digest_of",
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
