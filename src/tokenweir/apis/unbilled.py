"""Calls that nobody is billed for: what a prompt would use is counted, and texts are looked at by a moderator.

Their answers are passed on like those of every metered surface; their records say that no usage was due.
"""

from .surface import Surface

__all__ = ["COUNT_TOKENS", "INPUT_TOKENS", "MODERATIONS"]

MODERATIONS = Surface(
    name="moderations",
    title="Moderations",
    operation="moderations",
    paths=("moderations",),
    has_deployment_path=False,
    needs_model=False,
    prompt="input",
    units=(),
)

COUNT_TOKENS = Surface(
    name="count_tokens",
    title="Counting tokens (Anthropic)",
    operation="messages/count_tokens",
    root="anthropic",
    paths=("messages/count_tokens",),
    has_deployment_path=False,
    prompt="messages",
    units=(),
)

INPUT_TOKENS = Surface(
    name="input_tokens",
    title="Counting tokens (Responses)",
    operation="responses/input_tokens",
    paths=("responses/input_tokens",),
    has_deployment_path=False,
    needs_model=False,
    prompt="input",
    units=(),
)
