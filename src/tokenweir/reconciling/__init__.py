"""What Azure says was used and what it cost, held against the ledger."""

from .amounts import OWN_GROUPS, Told, own_amounts
from .comparing import Compared, compare, summed
from .reading import FILE_KINDS, FileKind, read_file

__all__ = ["FILE_KINDS", "OWN_GROUPS", "Compared", "FileKind", "Told", "compare", "own_amounts", "read_file", "summed"]
