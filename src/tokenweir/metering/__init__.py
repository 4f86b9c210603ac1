"""Reads a copy of an answer as it passes and says what it used; counts for itself where nothing was said.

meters.py      which meter an answer gets
meter.py       what every meter promises; stream, body, null and inflate keep it
failed.py      what stands in for a meter that failed
tally.py       what has been read of one answer: facts from answers and filters, text for estimates
reading.py     what a meter says in the end
usage.py       the upstream's usage object, in any of its shapes
estimates.py   a count of our own: prompt (tools, formats, images) and completion
"""

from .apart import estimate_apart
from .estimates import estimate
from .failed import log_failure, replacement
from .meter import Meter
from .meters import meter_for
from .reading import NO_READING, Output
from .structs import Reading
from .usage import read_usage

__all__ = [
    "NO_READING",
    "Meter",
    "Output",
    "Reading",
    "estimate",
    "estimate_apart",
    "log_failure",
    "meter_for",
    "read_usage",
    "replacement",
]
