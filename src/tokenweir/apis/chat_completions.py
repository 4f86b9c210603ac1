"""Chat completions, with "on your data", which had a path of its own until Azure put it into the same one."""

from .surface import Surface

__all__ = ["SURFACE"]

SURFACE = Surface(
    name="chat_completions",
    title="Chat completions",
    operation="chat",
    paths=("chat/completions", "extensions/chat/completions"),
    prompt="messages",
    asks_for_usage=True,
    estimate="chat",
    event_operation="ChatCompletion",
    object_name="chat.completion",
    otel_operation="chat",
    openai_api_type="chat_completions",
    has_choices=True,
)
