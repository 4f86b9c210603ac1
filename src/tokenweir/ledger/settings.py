"""What the ledger is told: where it is, and for how long what is kept."""

from typing import Annotated

import msgspec

from ..records import Duration, PathMark, PathText

__all__ = ["LedgerSettings", "RetentionSettings"]


class LedgerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[ledger]`` table."""

    url: Annotated[str, PathMark(scheme="duckdb:")] = "duckdb:tokenweir-data/ledger.duckdb"
    """``duckdb:`` and the path of a file, for one gateway; ``postgresql://user@host/database``, which many share (the
    password is better in ``PGPASSWORD``); ``clickhouse://user@host/database``, for very many calls (the password is
    better in ``CLICKHOUSE_PASSWORD``); or ``none``, where records only go to sinks."""


class RetentionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[retention]`` table: how long things are kept. What has no term is kept until somebody removes it; archived
    segments have ``journal.archive_for``."""

    calls: Duration | None = None
    """Calls in the ledger. The sums of their days stay, by everything but the hour and the subject; not in ClickHouse,
    which keeps no such sums."""
    content: Duration | None = None
    """Request and response bodies in the ledger. They are in the journal's segments and their archive, too."""
    traces: Duration | None = None
    """Traces in the ledger."""
    dead_letters: Duration | None = None
    """What could never be sent to a sink."""
    audit: PathText = "tokenweir-data/audit.jsonl"
    """Where ``tokenweir erase`` writes what it did: a line of JSON each time, without whom it was about."""
