"""What the ledger is told: where it is."""

from typing import Annotated

import msgspec

from ..records import PathMark

__all__ = ["LedgerSettings"]


class LedgerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[ledger]`` table."""

    url: Annotated[str, PathMark(scheme="duckdb:")] = "duckdb:tokenweir-data/ledger.duckdb"
    """``duckdb:`` and the path of a file, for one gateway; ``postgresql://user@host/database``, which many share (the
    password is better in ``PGPASSWORD``); ``clickhouse://user@host/database``, for very many calls (the password is
    better in ``CLICKHOUSE_PASSWORD``); or ``none``, where records only go to sinks."""
