"""What API Management logs of a call: with the chargeback solution's policy, and with ours.

``our_event`` is the twin of the expression in ``deploy/azure/apim/fragments/log-call.xml``; a test runs that
expression itself and compares. Both make texts as ``log-to-eventhub`` takes them, before its limit.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .replay import Recording

__all__ = ["BODIES_LEFT_OUT_ABOVE", "LoggedCall", "logged_call", "our_event", "todays_event"]

BODIES_LEFT_OUT_ABOVE = 180_000
"""Bytes of a whole event in UTF-8. ``log-to-eventhub`` cuts off what is longer than 200 KB."""

_OPERATIONS = {
    "chat/completions": "ChatCompletion",
    "completions": "TextCompletion",
    "embeddings": "Embeddings",
    "responses": "Response",
}


@dataclass(frozen=True)
class LoggedCall:
    """A call as a policy sees it once it is over."""

    url: str = "https://contoso.azure-api.net/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    request: str | None = None
    response: str | None = None
    status: int | None = 200
    region: str | None = "Sweden Central"
    subscription_key: str = "0123456789abcdef0123456789abcdef"
    subscription_id: str | None = "team-a"
    product_id: str | None = "OpenAI"
    request_id: str = "6f9a4f0e-3c41-4d36-9d0b-6f3f4ac0a8b1"
    backend: str | None = "openai-pool"
    ended_at: datetime = datetime(2026, 11, 22, 12, 0, 1, 456789, tzinfo=UTC)
    latency: timedelta = timedelta(milliseconds=1206)

    @property
    def operation(self) -> str:
        path = urlsplit(self.url).path
        return next((name for tail, name in _OPERATIONS.items() if path.endswith("/" + tail)), "")


def logged_call(recording: Recording, **members: Any) -> LoggedCall:
    """A recorded call as it would have gone through API Management."""
    call = LoggedCall(
        url="https://contoso.azure-api.net" + recording.path,
        request=recording.request_body,
        response=recording.body.decode(),
        status=recording.status,
        region=next((value for name, value in recording.headers.items() if name.lower() == "x-ms-region"), None),
    )
    return replace(call, **members)


def todays_event(call: LoggedCall) -> str:
    """As the chargeback solution's policy writes it, which it does for status 200 only."""
    operation = call.operation if call.operation in ("ChatCompletion", "TextCompletion") else ""
    return _json(
        {
            "eventTime": _moment(call.ended_at),
            "apiOperation": operation,
            "appSubscriptionKey": call.subscription_key,
            "request": call.request,
            "response": call.response,
        }
    )


def our_event(call: LoggedCall) -> str:
    """As ``log-call.xml`` writes it."""
    url = urlsplit(call.url)
    parts = url.path.split("/")
    request = call.request if (call.request or "").lstrip().startswith("{") else None
    asked = _object(request)
    usage, model = _charge(call.response)
    event = {
        "eventTime": _moment(call.ended_at),
        "apiOperation": call.operation,
        "appSubscriptionKey": "sha256:" + hashlib.sha256(call.subscription_key.encode()).hexdigest(),
        "request": request,
        "response": call.response or None,
        "requestId": call.request_id,
        "startedAt": _moment(call.ended_at - call.latency),
        "latencyMs": call.latency // timedelta(milliseconds=1),
        "subscriptionId": call.subscription_id,
        "productId": call.product_id,
        "deployment": parts[parts.index("deployments") + 1] if "deployments" in parts else _text(asked.get("model")),
        "apiVersion": parse_qs(url.query).get("api-version", [None])[0],
        "status": call.status,
        "region": call.region,
        "backend": call.backend,
        "stream": asked.get("stream") is True,
        "model": model,
        "usage": usage,
        "identity": None,
        "bodies": "whole",
    }
    if len(_json(event).encode()) > BODIES_LEFT_OUT_ABOVE:
        event |= {"request": None, "response": None, "bodies": "left out"}
    return _json(event)


def _charge(response: str | None) -> tuple[Any, str | None]:
    """Usage and model of an answer, or of the last event of a stream that tells its usage."""
    if response is None:
        return None, None
    candidates = [response]
    if not response.lstrip().startswith("{"):
        lines = response.split("\n")
        candidates = [line[5:] for line in reversed(lines) if line.startswith("data:") and '"usage"' in line]
    for candidate in candidates:
        answer = _object(candidate)
        if isinstance(answer.get("response"), dict):
            answer = answer["response"]
        if isinstance(answer.get("usage"), dict):
            return answer["usage"], _text(answer.get("model"))
    return None, _text(_object(candidates[0]).get("model")) if candidates else None


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def _json(event: dict[str, Any]) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))
