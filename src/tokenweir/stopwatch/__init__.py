"""The streaming tool: makes a streamed call, tells when each part of it came, and says what was odd about that.

target.py                           an endpoint: its address, its dialect, where its key goes
moments.py                          what is told of a call, in order; also the lines of a saved capture
http.py, sdk.py                     two ways to watch a call
headers.py, masking.py              what may be shown
running.py, replay.py, file.py      where moments come from, and how they are kept
frames.py, capture.py, measures.py  from moments to events, and from events to numbers
findings/, spread.py, report.py     what the numbers mean: for one call, for many, for programs
"""

from .capture import Capture, TimedEvent, Watching
from .file import CaptureFile, read_captures
from .findings import Finding, findings_of, milliseconds
from .masking import mask
from .measures import Measures, measure
from .moments import Began, Connected, Ended, Head, Moment, Via
from .replay import replay
from .report import call_report, event_report, moment_report
from .running import Planned, Running
from .sdk import require_sdk
from .spread import Difference, Spread, difference, spread_of
from .target import Kind, StreamApi, StreamTarget, kind_of

__all__ = [
    "Began",
    "Capture",
    "CaptureFile",
    "Connected",
    "Difference",
    "Ended",
    "TimedEvent",
    "Finding",
    "Head",
    "Kind",
    "Measures",
    "Moment",
    "Planned",
    "Running",
    "Spread",
    "StreamApi",
    "StreamTarget",
    "Via",
    "Watching",
    "call_report",
    "difference",
    "event_report",
    "findings_of",
    "kind_of",
    "mask",
    "measure",
    "milliseconds",
    "moment_report",
    "read_captures",
    "replay",
    "require_sdk",
    "spread_of",
]
