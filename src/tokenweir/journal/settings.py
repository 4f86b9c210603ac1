"""What the journal is told: where to write, when a record counts as written, what to do when it cannot."""

from typing import Literal

import msgspec

from ..records import Duration, PathText, Size

__all__ = ["JournalSettings"]


class JournalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[journal]`` table."""

    directory: PathText = "tokenweir-data/journal"
    """Where the relays write their records, each into a directory of its own below."""
    durability: Literal["batch", "strict", "shipped"] = "batch"
    """A record is on disk ``commit_interval`` after its call's end (``batch``) or before it (``strict``), or with every
    sink before it (``shipped``): for disks that do not last. ``shipped`` is the default where there is no disk."""
    content: Literal["none", "full"] = "none"
    """Whether request and response bodies are kept in the record."""
    on_failure: Literal["refuse", "shed_content"] = "refuse"
    """When the disk is full or gone: refuse new calls at once, or first leave bodies out of the records."""
    ship_timeout: Duration = Duration(2)
    """How long the end of an answer waits for the sinks at most (``shipped``)."""
    on_outage: Literal["pass", "refuse"] = "pass"
    """When the sinks take nothing for longer than that: let calls pass, or refuse new ones (``shipped``). Without a
    disk, ``pass`` loses the records of calls beyond what fits into memory, which is logged and counted."""
    # Each commit costs some 0.3 ms of CPU, whatever is in it.
    commit_interval: Duration = Duration(0.010)
    """How long records gather before they are brought to disk together (``batch``)."""
    segment_size: Size = Size(64 * 1024 * 1024)
    """How large a file grows before the next one is begun."""
    segment_age: Duration = Duration(86_400.0)
    """How old a file grows that has records in it before the next one is begun, and it can go or be archived."""
    archive: PathText | None = None
    """Where segments are kept that ledger and sinks have taken: a directory, or a container of blob storage
    (``https://ACCOUNT.blob.core.windows.net/NAME``), where the machine's identity signs in. ``tokenweir import`` fills
    a ledger from it. Without it they are removed."""
    archive_for: Duration = Duration(30 * 86_400.0)
    """How long they are kept there, from their last record on; in blob storage, from when they came there."""
    reserve: Size = Size(8 * 1024 * 1024)
    """Taken on the journal's disk, for each relay, so that one that stops on a full disk can still write the records
    that wait in its memory: some ten thousand without bodies. A small disk gives at most a sixteenth of what it has
    left."""
