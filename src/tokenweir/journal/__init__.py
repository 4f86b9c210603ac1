"""Every record on disk before anything else is done with it, and read from there by all consumers."""

from .cursors import (
    begin_cursor,
    bytes_behind,
    cursor_names,
    journal_size,
    load_cursor,
    remove_passed_segments,
    save_cursor,
)
from .directory import journal_directories, journal_name
from .log import Journal
from .missing import Missing, SeqWatch, read_missing
from .payload import changed_fields
from .reader import Batch, JournalReader, oldest_behind
from .settings import JournalSettings
from .status import JournalStatus, Trouble, read_status

__all__ = [
    "Batch",
    "Journal",
    "JournalReader",
    "JournalSettings",
    "JournalStatus",
    "Missing",
    "SeqWatch",
    "Trouble",
    "begin_cursor",
    "bytes_behind",
    "changed_fields",
    "cursor_names",
    "journal_directories",
    "journal_name",
    "journal_size",
    "load_cursor",
    "oldest_behind",
    "read_missing",
    "read_status",
    "remove_passed_segments",
    "save_cursor",
]
