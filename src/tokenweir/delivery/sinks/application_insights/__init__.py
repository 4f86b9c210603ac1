"""A call as a custom event of Application Insights: what the event says, and the official exporter that sends it.

Everything here is pure but ``exporting.py``, which alone needs the exporter's package.
"""

from .answer import Answer, ItemError, read_answer
from .custom_event import CustomEvent, custom_event_of, fit_custom_event

__all__ = [
    "Answer",
    "CustomEvent",
    "ItemError",
    "custom_event_of",
    "fit_custom_event",
    "read_answer",
]
