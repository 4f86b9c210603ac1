"""What ``tokenweir stream`` does around the stopwatch: from options to targets, from captures to the terminal."""

from .json_lines import JsonLines
from .live import LiveView
from .many import ManyView
from .targets import Asked, target_for
from .tracing import DEBUG_HEADER, Tracer, show_trace
from .view import CaptureSession, Shows, View

__all__ = [
    "DEBUG_HEADER",
    "Asked",
    "CaptureSession",
    "JsonLines",
    "LiveView",
    "ManyView",
    "Shows",
    "Tracer",
    "View",
    "show_trace",
    "target_for",
]
