"""Every record on disk before anything else is done with it, and read from there by all consumers."""

from .archive import Archive, DirectoryArchive, archived_name
from .cursors import (
    begin_cursor,
    bytes_behind,
    cursor_names,
    is_in_later_segment,
    journal_size,
    load_cursor,
    passed_by_all,
    save_cursor,
)
from .directory import journal_directories, journal_name
from .log import Journal
from .missing import Missing, SeqWatch, read_missing
from .passed import LedgerGap, gap_behind, read_gap, remove_passed_segments, write_gap
from .payload import changed_fields
from .reader import Batch, JournalReader, oldest_behind
from .rewriting import ask_for_next_segment, fixed_segments, rewritten
from .settings import JournalSettings
from .status import JournalStatus, Trouble, read_status

__all__ = [
    "Archive",
    "Batch",
    "DirectoryArchive",
    "Journal",
    "JournalReader",
    "JournalSettings",
    "JournalStatus",
    "LedgerGap",
    "Missing",
    "SeqWatch",
    "Trouble",
    "archived_name",
    "ask_for_next_segment",
    "begin_cursor",
    "bytes_behind",
    "changed_fields",
    "cursor_names",
    "fixed_segments",
    "gap_behind",
    "is_in_later_segment",
    "journal_directories",
    "journal_name",
    "journal_size",
    "load_cursor",
    "oldest_behind",
    "passed_by_all",
    "read_gap",
    "read_missing",
    "read_status",
    "remove_passed_segments",
    "rewritten",
    "save_cursor",
    "write_gap",
]
