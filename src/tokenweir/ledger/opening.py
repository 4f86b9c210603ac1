"""From the address in the settings to an open ledger."""

from collections.abc import Callable

from ..errors import ConfigError
from .base import Ledger

__all__ = ["open_ledger"]


def _open_duckdb(place: str) -> Ledger:
    """The engine is loaded here: a relay knows the ledger's settings, and must not carry its database."""
    from .duckdb import DuckDBLedger
    from .duckdb_file import DuckDBFile

    return DuckDBLedger(DuckDBFile(place))


SCHEMES: dict[str, Callable[[str], Ledger]] = {"duckdb": _open_duckdb}
"""What an address may begin with, and who opens it."""


def open_ledger(url: str) -> Ledger:
    """Open (and if need be create) the ledger at ``scheme:place``.

    Raises `ConfigError` if the address cannot be used, and `LedgerLocked` if another process has it open.
    """
    scheme, _, place = url.partition(":")
    opener = SCHEMES.get(scheme)
    if opener is None or not place:
        known = ", ".join(SCHEMES)
        raise ConfigError(
            f"ledger.url {url!r} is not a ledger; known kinds: {known}. "
            "Write it like duckdb:tokenweir-data/ledger.duckdb"
        )
    return opener(place)
