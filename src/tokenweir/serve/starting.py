"""How a process of the gateway tells its supervisor that it cannot do its work with what it was given."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import TokenweirError

__all__ = ["CANNOT_START", "one_line_for_errors"]

_log = logging.getLogger(__name__)

CANNOT_START = 78
"""The exit code that means it, of sysexits.h (EX_CONFIG)."""


@contextmanager
def one_line_for_errors() -> Iterator[None]:
    """Ends the process with ``CANNOT_START`` and a line in the log where an error of ours leaves the block."""
    try:
        yield
    except TokenweirError as error:
        _log.error("%s", error)
        sys.exit(CANNOT_START)
