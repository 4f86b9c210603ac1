"""Reads a copy of an answer as it passes and says what it used; counts for itself where nothing was said.

meters.py        which meter an answer gets
socket_meter.py  what each response over a WebSocket used
meter.py         what every meter promises, and what stands in for one; stream, body and inflate keep it
accumulator.py   what has been read of one answer: facts from answers and filters, text for estimates
measurement.py   what a meter says in the end
usage.py         the upstream's usage object, in any of its shapes
estimates.py     a count of our own: prompt (tools, images) and completion; apart.py in a process of its own
"""

from .accumulator import NO_MEASUREMENT
from .apart import estimate_apart
from .estimates import estimate
from .measurement import Measurement
from .meter import Meter, log_failure, replacement
from .meters import meter_for
from .socket_messages import RequestMessages, SaidMessages
from .socket_meter import SocketMeter, UsedOnSocket
from .usage import read_usage, tells_counts
from .written import Output

__all__ = [
    "NO_MEASUREMENT",
    "Measurement",
    "Meter",
    "Output",
    "RequestMessages",
    "SaidMessages",
    "SocketMeter",
    "UsedOnSocket",
    "estimate",
    "estimate_apart",
    "log_failure",
    "meter_for",
    "read_usage",
    "replacement",
    "tells_counts",
]
