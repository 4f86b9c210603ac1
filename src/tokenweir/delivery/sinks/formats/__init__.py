"""What an event can look like. Each shape is a pure function: a record → what its JSON says."""

from collections.abc import Callable
from typing import Any

from ....records import CallRecord
from ..settings import ShapeName
from .apim import apim_event
from .cloud_events import CONTENT_TYPE as CLOUD_EVENTS_TYPE, envelope
from .sse_proxy import proxy_event
from .tokenweir import whole_record

__all__ = ["CLOUD_EVENTS_TYPE", "SHAPES", "envelope"]

SHAPES: dict[ShapeName, Callable[[CallRecord], dict[str, Any]]] = {
    "tokenweir": whole_record,
    "sse-proxy": proxy_event,
    "apim": apim_event,
}
