"""What the journal is told: where to write, when a record counts as written, what to do when it cannot."""

from typing import Literal

import msgspec

from ..records import Duration, Size

__all__ = ["JournalSettings"]


class JournalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[journal]`` table."""

    directory: str = "tokenweir-data/journal"
    durability: Literal["batch", "strict"] = "batch"
    """``batch``: on disk within ``commit_interval`` after the call. ``strict``: before the client sees its end."""
    content: Literal["none", "full"] = "none"
    """Whether request and response bodies are kept in the record."""
    on_failure: Literal["refuse", "shed_content"] = "refuse"
    """When the disk is full or gone: refuse new calls at once, or first write records without their bodies."""
    commit_interval: Duration = Duration(0.005)
    segment_size: Size = Size(64 * 1024 * 1024)
