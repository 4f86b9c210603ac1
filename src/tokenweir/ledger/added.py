"""Columns that ``calls`` got after its first shape, by the step that adds them; each engine has types for the kinds."""

from typing import Final, Literal

__all__ = ["WHAT_PRICES_NEED", "WHY_NO_COST", "Kind"]

Kind = Literal["text", "name", "count", "json", "counts"]
"""``name`` is a text of which few different ones come again and again; ``counts`` an object of whole numbers, which is
empty where nothing is said, as a ``count`` is 0. Rows from before have these, too."""

WHAT_PRICES_NEED: Final[dict[str, Kind]] = {
    "requested_service_tier": "name",
    "service_tier": "name",
    "served_deployment": "name",
    "session_id": "text",
    "job_id": "text",
    "usage_reason": "name",
    "cache_write_tokens": "count",
    "cached_audio_tokens": "count",
    "cached_image_tokens": "count",
    "input_image_tokens": "count",
    "output_image_tokens": "count",
    "tool_usage": "json",
    "tool_calls": "counts",
}

WHY_NO_COST: Final[dict[str, Kind]] = {"cost_reason": "name"}
