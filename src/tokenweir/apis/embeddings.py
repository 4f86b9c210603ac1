"""Embeddings: long vectors, with model and usage behind them."""

from .surface import Surface

__all__ = ["SURFACE"]

SURFACE = Surface(
    name="embeddings",
    title="Embeddings",
    operation="embeddings",
    paths=("embeddings", "images/embeddings"),
    prompt="input",
    facts_are_last=True,
    estimate="input",
    event_operation="Embeddings",
    object_name="list",
    otel_operation="embeddings",
)
