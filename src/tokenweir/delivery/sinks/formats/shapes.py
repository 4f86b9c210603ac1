"""What events of the shapes ``apim`` and ``sse-proxy`` say of a call.

``apim`` is what API Management's ``log-to-eventhub`` policy writes for the chargeback function. Its five fields come
first. The key is its id, because the gateway never knows keys. API Management wrote an event for an answer with status
200 only; here every call has one, and those that it would not have written name no operation, which makes the
chargeback function pass over them instead of stumbling.

``sse-proxy`` is the events of the SSE proxy function, for whoever reads its hub today. Its keys come first, in its
order, with its types and its meanings. What it could not say comes behind them, under new keys that are always there.
Two things differ, because its readers lost by them: a chat that called a tool or said nothing has its event; and
``content`` and ``usage`` are never null.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from ....apis import surface_of
from ....records import CallRecord
from .content import ChoiceContent, read_answer, read_request

__all__ = ["ended_at", "apim_event", "proxy_event"]

# What the chargeback function knows.
_KNOWN = ("ChatCompletion", "TextCompletion")

_COUNTS = ("completion_tokens", "prompt_tokens", "total_tokens")
_DETAILS = ("completion_tokens_details", "prompt_tokens_details")


def ended_at(record: CallRecord) -> datetime:
    """Start and duration are what a record holds; the other systems' events carry the end."""
    return record.started_at.astimezone(UTC) + timedelta(milliseconds=record.latency_ms)


def apim_event(record: CallRecord) -> dict[str, Any]:
    """``request`` and ``response`` are texts, null where the record has none; for a stream the whole SSE text."""
    operation = surface_of(record.api).event_operation
    return {
        "eventTime": _with_seven_decimals(ended_at(record)),
        "apiOperation": operation if record.status == 200 and operation in _KNOWN else "",
        "appSubscriptionKey": record.key_id or "",
        "request": record.request_body,
        "response": record.response_body,
        "callId": record.call_id,
        "caller": record.caller,
        "deployment": record.deployment,
        "model": record.response_model,
        "stream": record.stream,
        "status": record.status,
        "outcome": record.outcome,
        "usageSource": record.usage.source,
        "promptTokens": record.usage.input_tokens,
        "completionTokens": record.usage.output_tokens,
        "totalTokens": record.usage.total_tokens,
    }


def _with_seven_decimals(moment: datetime) -> str:
    """``2026-11-22T12:00:00.0000010Z``: as .NET's round-trip format gives it."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}0Z"


def proxy_event(record: CallRecord) -> dict[str, Any]:
    """``stream_completion`` where the caller asked for a stream, else ``completion``."""
    choices = read_answer(record.response_body) if record.response_body is not None else []
    first, *others = choices or [ChoiceContent()]
    asked = read_request(record.request_body)
    event: dict[str, Any] = {
        "type": "stream_completion" if record.stream else "completion",
        "content": first.content or "",
        "usage": _usage(record),
        "model": record.response_model or "unknown",
        "prompt": asked.messages,
        "region": record.region or "unknown",
        "latency_ms": _since_body(record, record.latency_ms),
    }
    if record.stream:
        event["time_to_first_chunk_ms"] = _since_body(record, record.first_byte_ms)
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
        "first_token_ms": _since_body(record, record.first_token_ms),
        "upstream_request_id": record.upstream_request_id,
        "response_id": record.response_id,
        "bodies_kept": record.request_body is not None or record.response_body is not None,
    }


def _usage(record: CallRecord) -> dict[str, Any]:
    """What the upstream reported, whole, in the order in which the function's SDK has it; else our own counts."""
    usage = record.usage
    if usage.source == "reported" and usage.raw is not None:
        known = {name: usage.raw[name] for name in _COUNTS if name in usage.raw}
        return known | dict.fromkeys(_DETAILS) | usage.raw
    return {
        "completion_tokens": usage.output_tokens,
        "prompt_tokens": usage.input_tokens,
        "total_tokens": usage.total_tokens,
        **dict.fromkeys(_DETAILS),
    }


def _whole(milliseconds: float | None) -> int | None:
    """The function cuts the fraction off."""
    # To the microsecond first: sums and differences of clock readings are a little off the whole they mean.
    return None if milliseconds is None else int(round(milliseconds, 3))


def _since_body(record: CallRecord, milliseconds: float | None) -> int | None:
    """The function's clock starts when it has the body; a record's, when the head has come."""
    return None if milliseconds is None else _whole(max(0.0, milliseconds - (record.body_ms or 0.0)))


def _naive(moment: datetime) -> str:
    """``2026-11-22T12:00:00.000001``: UTC, as Python's ``utcnow().isoformat()`` gives it, always with microseconds."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")
