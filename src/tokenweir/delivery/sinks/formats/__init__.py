"""What sinks of JSON send of a call: shapes, which are pure functions, and events that fit."""

from .cloud_events import CONTENT_TYPE as CLOUD_EVENTS_TYPE, envelope
from .fitting import JSON_EVENTS, SHAPES, SMALLEST_LIMIT, fit_json

__all__ = ["CLOUD_EVENTS_TYPE", "JSON_EVENTS", "SHAPES", "SMALLEST_LIMIT", "envelope", "fit_json"]
