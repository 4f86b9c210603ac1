"""The shape ``sse-proxy``: the events of the SSE proxy function, for whoever reads its hub today.

Its keys come first, in its order, with its types and its meanings. What it could not say comes behind them, under
new keys that are always there. Two things differ, because its readers lost by them: every call has its event, also
one that failed, called a tool or said nothing; and ``usage`` is never null.
"""

from datetime import datetime
from typing import Any

from ....records import CallRecord
from .cloud_events import ended_at
from .content import AnswerChoice, read_answer, read_request

__all__ = ["proxy_event"]


def proxy_event(record: CallRecord) -> dict[str, Any]:
    """``stream_completion`` where the caller asked for a stream, else ``completion``."""
    choices = read_answer(record.response_body) if record.response_body is not None else []
    first, *others = choices or [AnswerChoice()]
    asked = read_request(record.request_body)
    event: dict[str, Any] = {
        "type": "stream_completion" if record.stream else "completion",
        "content": (first.content or "") if record.stream else first.content,
        "usage": _usage(record),
        "model": record.response_model or "unknown",
        "prompt": asked.messages,
        "region": record.region or "unknown",
        "latency_ms": int(record.latency_ms),
    }
    if record.stream:
        event["time_to_first_chunk_ms"] = _whole(record.first_byte_ms)
        event["streaming_duration_ms"] = _whole(record.stream_ms)
    event["timestamp"] = _naive(ended_at(record))
    return event | {
        "call_id": record.call_id,
        "caller": record.caller,
        "key_id": record.key_id,
        "tags": record.tags,
        "deployment": record.deployment,
        "requested_model": record.requested_model,
        "api": record.api,
        "api_version": record.api_version,
        "status": record.status,
        "outcome": record.outcome,
        "error_code": record.error_code,
        "usage_source": record.usage.source,
        "finish_reasons": record.finish_reasons,
        "content_filter": record.content_filter,
        "tool_calls": first.tool_calls,
        "refusal": first.refusal,
        "other_contents": [choice.content for choice in others],
        "input": asked.input,
        "first_token_ms": _whole(record.first_token_ms),
        "upstream_request_id": record.upstream_request_id,
        "response_id": record.response_id,
        "bodies_kept": record.request_body is not None or record.response_body is not None,
    }


def _usage(record: CallRecord) -> dict[str, Any]:
    """What the upstream reported, whole; else our own counts under the same names."""
    usage = record.usage
    if usage.source == "reported" and usage.raw is not None:
        return usage.raw
    return {
        "completion_tokens": usage.output_tokens,
        "prompt_tokens": usage.input_tokens,
        "total_tokens": usage.total_tokens,
        "completion_tokens_details": None,
        "prompt_tokens_details": None,
    }


def _whole(milliseconds: float | None) -> int | None:
    """The function cuts the fraction off."""
    return None if milliseconds is None else int(milliseconds)


def _naive(moment: datetime) -> str:
    """``2026-11-22T12:00:00.000001``: UTC, as Python's ``utcnow().isoformat()`` gives it, always with microseconds."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")
