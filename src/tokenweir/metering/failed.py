"""What stands in for a meter that failed. A defect of ours, or an answer that nobody thought of, costs the reading of
one answer, and never the answer."""

import itertools
import logging
import traceback

from .meter import Meter
from .null import NullMeter

__all__ = ["log_failure", "replacement"]

_log = logging.getLogger(__name__)


_failures = itertools.count(1)


def replacement(meter: Meter, error: Exception) -> Meter:
    """A meter that goes on in place of ``meter``, and says in the end that the answer could not be read."""
    log_failure("an answer could not be metered", error)
    stand_in = NullMeter(
        keep_content=False, unreadable=f"the meter failed: {type(error).__name__}", reason="unreadable"
    )
    try:
        stand_in.first_token_at = meter.first_token_at
    except Exception as again:
        log_failure("a meter did not say when its first token came", again)
    return stand_in


def log_failure(what: str, error: Exception) -> None:
    """Logs where it failed, but not the words of the error, which may quote the answer. Of the first failure, the
    second, the fourth, the eighth and so on, so that a million of them are twenty lines."""
    count = next(_failures)
    if count.bit_count() == 1:
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        places = " > ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames)
        _log.error("%s: %s at %s (failure %d of this kind)", what, type(error).__name__, places, count)
