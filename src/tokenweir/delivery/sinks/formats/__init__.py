"""What sinks of JSON send of a call: shapes, which are pure functions, and events that fit."""

from .fitting import CLOUD_EVENTS_TYPE, JSON_EVENTS, SHAPES, SMALLEST_LIMIT, envelope, fit_json

__all__ = ["CLOUD_EVENTS_TYPE", "JSON_EVENTS", "SHAPES", "SMALLEST_LIMIT", "envelope", "fit_json"]
