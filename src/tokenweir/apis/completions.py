"""Completions, the older API of texts."""

from .surface import Surface

__all__ = ["SURFACE"]

SURFACE = Surface(
    name="completions",
    title="Completions",
    operation="text_completion",
    paths=("completions",),
    prompt="prompt",
    asks_for_usage=True,
    estimate="text",
    event_operation="TextCompletion",
    object_name="text_completion",
    otel_operation="text_completion",
    has_choices=True,
)
