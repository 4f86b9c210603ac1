"""The shape ``apim``: what API Management's ``log-to-eventhub`` policy writes for the chargeback function.

Its five fields come first. The key is its id, because the gateway never knows keys. API Management wrote an event for
an answer with status 200 only; here every call has one, and those that it would not have written name no operation,
which makes the chargeback function pass over them instead of stumbling.
"""

from datetime import datetime
from typing import Any

from ....apis import surface_of
from ....records import CallRecord
from .cloud_events import ended_at

__all__ = ["apim_event"]

# What the chargeback function knows.
_KNOWN = ("ChatCompletion", "TextCompletion")


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
