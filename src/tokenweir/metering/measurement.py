"""What was measured of one answer, and the shapes of ``usage``. msgspec makes these classes, which cannot be compiled:
behaviour stands in other modules.
"""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from ..records import LARGEST_AMOUNT, Quantity, Usage, UsageReason

if TYPE_CHECKING:
    from .written import Output

__all__ = ["CachedCounts", "DetailCounts", "Measurement", "SocketLane", "UsageCounts"]

_Count = Annotated[int, msgspec.Meta(ge=0, lt=LARGEST_AMOUNT)] | None


class Measurement(msgspec.Struct, kw_only=True):
    """The facts of one answer. None and empty mean that the answer did not say."""

    usage: Usage | None = None
    response_model: str | None = None
    response_id: str | None = None
    job_id: str | None = None
    """Of the job that the answer is about, whose usage comes later."""
    job: dict[str, Any] | None = None
    """What it says of that job."""
    session_id: str | None = None
    """Of the session that the call has opened."""
    service_tier: str | None = None
    """That the answer was served by."""
    tool_usage: dict[str, Any] | None = None
    """The answer's own ``tool_usage``."""
    tool_calls: dict[str, int] = {}
    """How many calls of the upstream's own tools it has, by type."""
    counted: dict[str, Quantity] = {}
    """What of it is billed beside tokens; in ``usage`` too, if there is one."""
    finish_reasons: list[str] = []
    """In the order they came: one a choice, and a second where a filter blocked what had already ended."""
    content_filter: str | None = None
    """Categories that were filtered, joined by commas: of the prompt, the answer or both."""
    error_code: str | None = None
    """Of an error body, or of an error frame in a stream that began well."""
    chunks: int = 0
    """Events with data, ``[DONE]`` aside; 1 for a whole body."""
    done: bool = False
    """Whether the end was seen: ``[DONE]``, or a whole JSON object."""
    content: str | None = None
    """The body as text, where it is kept."""
    unreadable: str | None = None
    """Why the meter could not read the answer or part of it."""
    reason: UsageReason | None = None
    """Why there is no usage, where the meter knows."""
    wrote_since_usage: bool = False
    """Whether the model wrote more after the last usage that was told, which is then not that of the whole answer."""
    output: "Output"


class CachedCounts(msgspec.Struct, gc=False):
    """What the cached tokens are made of."""

    audio_tokens: _Count = None
    image_tokens: _Count = None


class DetailCounts(msgspec.Struct, gc=False):
    cached_tokens: _Count = None
    cache_write_tokens: _Count = None
    cached_tokens_details: CachedCounts | None = None
    reasoning_tokens: _Count = None
    audio_tokens: _Count = None
    image_tokens: _Count = None
    accepted_prediction_tokens: _Count = None
    rejected_prediction_tokens: _Count = None


class UsageCounts(msgspec.Struct, gc=False):
    """Every name there is. An object has one of each kind; where one has two, the first that says something counts."""

    prompt_tokens: _Count = None
    input_tokens: _Count = None
    completion_tokens: _Count = None
    output_tokens: _Count = None
    total_tokens: _Count = None
    prompt_tokens_details: DetailCounts | None = None
    input_tokens_details: DetailCounts | None = None
    input_token_details: DetailCounts | None = None
    completion_tokens_details: DetailCounts | None = None
    output_tokens_details: DetailCounts | None = None
    output_token_details: DetailCounts | None = None


class SocketLane(msgspec.Struct, gc=False):
    """Which of several answers that are under way at once a message of a WebSocket is about."""

    stream_id: Any = None
