"""What a span says about a call: by OpenTelemetry's names where it has one, else by ours (``tokenweir.…``).

The GenAI conventions are in development and are followed as of November 2026 (semantic-conventions-genai):
https://github.com/open-telemetry/semantic-conventions-genai

Content is what was asked and answered, as ``gen_ai.input.messages`` and ``gen_ai.output.messages`` want it: JSON texts
of messages with parts. Only for sinks that are told to send it, and calls whose bodies were kept.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from ....apis import surface_of
from ....records import SESSION, CallRecord, TracedAttempt, TracedTarget, Usage
from ..formats.content import ChoiceContent, read_answer, read_members, read_request
from .span import Attribute

__all__ = [
    "UNKNOWN",
    "Servers",
    "attempt_attributes",
    "call_attributes",
    "content_attributes",
    "error_of",
    "model_of",
    "operation_of",
]

Attributes = dict[str, Attribute | None]


def operation_of(record: CallRecord) -> str | None:
    """``gen_ai.operation.name``; ``None`` for what the GenAI conventions are not about, such as a WebSocket whose
    responses have spans of their own."""
    return surface_of(record.api).otel_operation if record.operation != SESSION else None


def model_of(record: CallRecord) -> str | None:
    """What the caller asked for; with Azure that may be nothing but a deployment's name."""
    return record.requested_model or record.deployment


def error_of(record: CallRecord) -> str | None:
    """Why a call did not end well: a code where there is one, else the status, else the outcome."""
    if record.outcome in ("completed", "client_gone"):
        return None
    return record.error_code or _bad_status(record.status) or record.outcome


class Servers(NamedTuple):
    """Where calls went, as URLs: a record has names."""

    gateway: str | None = None
    upstreams: Mapping[str, str] = {}


UNKNOWN: Final = Servers()


def call_attributes(record: CallRecord, servers: Servers = UNKNOWN) -> Attributes:
    """Of the span that is the call."""
    return {
        **_generation(record),
        **_server(servers.gateway),
        "http.request.method": record.method or None,
        "url.path": record.path or None,
        "http.response.status_code": record.status,
        "client.address": record.client_address,
        "user_agent.original": record.user_agent,
        "error.type": error_of(record),
        "tokenweir.call_id": record.call_id,
        "tokenweir.replica": record.replica or None,
        "tokenweir.outcome": record.outcome,
        "tokenweir.error_code": record.error_code,
        "tokenweir.caller": record.caller,
        "tokenweir.subject": record.subject,
        "tokenweir.application": record.application,
        "tokenweir.identity_source": record.identity_source,
        "tokenweir.key_id": record.key_id,
        "tokenweir.deployment": record.deployment,
        "tokenweir.api_version": record.api_version,
        "tokenweir.backend": record.backend,
        "tokenweir.region": record.region,
        "tokenweir.sku": record.sku,
        "tokenweir.spillover_from": record.spillover_from,
        "tokenweir.attempts": record.attempts,
        "tokenweir.content_filter": record.content_filter,
        "tokenweir.usage_source": record.usage.source,
        # Exact, which a number of OpenTelemetry's is not.
        "tokenweir.cost": None if record.cost is None else f"{record.cost:f}",
        "tokenweir.currency": record.currency,
        "tokenweir.cost_reason": record.cost_reason,
        "tokenweir.gateway_ms": record.gateway_ms,
        "tokenweir.first_token_ms": record.first_token_ms,
        "tokenweir.bytes_in": record.bytes_in,
        "tokenweir.bytes_out": record.bytes_out,
        "tokenweir.trace.reasons": None if record.trace is None else list(record.trace.reasons),
        **{f"tokenweir.tags.{name}": value for name, value in record.tags.items()},
    }


def attempt_attributes(
    record: CallRecord,
    number: int,
    attempt: TracedAttempt,
    target: TracedTarget,
    *,
    is_last: bool,
    servers: Servers = UNKNOWN,
) -> Attributes:
    """Of the span that is one request to an upstream; ``number`` is 0 for the first.

    Nothing of ``gen_ai``: whoever adds up tokens or counts calls would do so twice.
    """
    return {
        **_server(servers.upstreams.get(target.backend)),
        "http.request.method": record.method or None,
        "http.response.status_code": attempt.status,
        "http.request.resend_count": number or None,
        "error.type": attempt.error or _bad_status(attempt.status),
        "service.peer.name": target.backend,
        "azure.resource_provider.namespace": "Microsoft.CognitiveServices" if _is_azure(record) else None,
        "azure.service.request.id": record.upstream_request_id if is_last and _is_azure(record) else None,
        "tokenweir.call_id": record.call_id,
        "tokenweir.deployment": target.deployment,
        "tokenweir.region": record.region if is_last else None,
        "tokenweir.sku": target.sku,
    }


@lru_cache
def _server(url: str | None) -> Mapping[str, Attribute]:
    """Its name, port and scheme. Nothing else of a URL, which might have a key in it."""
    parts = urlsplit(url or "")
    if not parts.hostname:
        return {}
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname, "server.port": port, "url.scheme": parts.scheme}


def _generation(record: CallRecord) -> Attributes:
    if (operation := operation_of(record)) is None:
        return {}
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": _provider(record),
        "gen_ai.request.model": model_of(record),
        "gen_ai.request.stream": record.stream or None,
        "gen_ai.response.model": record.response_model,
        "gen_ai.response.id": record.response_id,
        "gen_ai.response.finish_reasons": record.finish_reasons or None,
        "gen_ai.response.time_to_first_chunk": _first_chunk_seconds(record),
        "openai.api.type": surface_of(record.api).openai_api_type,
        "openai.request.service_tier": record.requested_service_tier,
        "openai.response.service_tier": record.service_tier,
        **(_parameters(record.request_body) if record.request_body is not None else {}),
        **(_usage(record.usage) if record.usage.source != "none" else {}),
    }


_PARAMETERS: dict[str, tuple[tuple[str, ...], tuple[type, ...]]] = {
    "gen_ai.request.max_tokens": (("max_completion_tokens", "max_output_tokens", "max_tokens"), (int,)),
    "gen_ai.request.temperature": (("temperature",), (float, int)),
    "gen_ai.request.top_p": (("top_p",), (float, int)),
    "gen_ai.request.top_k": (("top_k",), (float, int)),
    "gen_ai.request.frequency_penalty": (("frequency_penalty",), (float, int)),
    "gen_ai.request.presence_penalty": (("presence_penalty",), (float, int)),
    "gen_ai.request.seed": (("seed",), (int,)),
    "gen_ai.request.choice.count": (("n",), (int,)),
    "gen_ai.request.stop_sequences": (("stop", "stop_sequences"), (str, list)),
}
"""Attribute → the members of a request that it may be, and of what type."""


def _parameters(body: str) -> Attributes:
    """What the caller set, where the body was kept. Texts that end an answer are no content, but words of the API."""
    asked = read_members(body)
    found: Attributes = {}
    for attribute, (names, types) in _PARAMETERS.items():
        value = next((asked[name] for name in names if asked.get(name) is not None), None)
        if isinstance(value, types) and not isinstance(value, bool):
            found[attribute] = _parameter(attribute, value)
    return found


def _parameter(attribute: str, value: Any) -> Attribute | None:
    if isinstance(value, (str, list)):
        texts = [value] if isinstance(value, str) else [text for text in value if isinstance(text, str)]
        return texts or None
    if attribute == "gen_ai.request.choice.count" and value == 1:  # as the conventions have it
        return None
    return float(value) if float in _PARAMETERS[attribute][1] else int(value)


def _usage(usage: Usage) -> Attributes:
    """Parts are said where there are any; a record does not tell none from unknown."""
    return {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_input_tokens or None,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens or None,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens or None,
        "gen_ai.usage.audio.input_tokens": usage.input_audio_tokens or None,
        "gen_ai.usage.audio.output_tokens": usage.output_audio_tokens or None,
        **{f"tokenweir.usage.{name}": _number(told.amount) for name, told in usage.quantities.items()},
    }


def _number(amount: int | Decimal | None) -> int | float | None:
    """As OpenTelemetry has numbers: what is no whole one is a double there."""
    return float(amount) if isinstance(amount, Decimal) else amount


def _provider(record: CallRecord) -> str:
    if surface_of(record.api).root == "anthropic":
        return "anthropic"
    return "azure.ai.openai" if _is_azure(record) else "openai"


def _is_azure(record: CallRecord) -> bool:
    """As the caller's path and Azure's own answer tell; a record does not know what kind its upstream is."""
    return not record.path.startswith("/v1/") or record.region is not None


def _first_chunk_seconds(record: CallRecord) -> float | None:
    return round(record.first_byte_ms / 1000, 6) if record.stream and record.first_byte_ms is not None else None


def _bad_status(status: int | None) -> str | None:
    return str(status) if status is not None and status >= 400 else None


_encode = msgspec.json.Encoder().encode


def content_attributes(record: CallRecord) -> dict[str, Attribute | None]:
    """Of chats and completions; embeddings have no messages."""
    if not surface_of(record.api).has_choices:
        return {}
    asked = read_request(record.request_body)
    said = read_answer(record.response_body) if record.response_body is not None else []
    messages = [_input(message) for message in msgspec.json.decode(asked.messages) if isinstance(message, dict)]
    if not messages and isinstance(prompt := msgspec.json.decode(asked.input), str):
        messages = [{"role": "user", "parts": [_text(prompt)]}]
    answers = [_output(one, record.finish_reasons, number) for number, one in enumerate(said)]
    return {
        "gen_ai.input.messages": _encode(messages).decode() if messages else None,
        "gen_ai.output.messages": _encode(answers).decode() if answers else None,
    }


def _input(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if message.get("role") == "tool":
        answer = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return {"role": "tool", "parts": [answer]}
    texts = [_text(content)] if isinstance(content, str) else []
    parts = [_part(part) for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    calls = message.get("tool_calls")
    called = [_tool_call(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return {"role": message.get("role"), "parts": [*texts, *parts, *called]}


def _output(said: ChoiceContent, finish_reasons: list[str], number: int) -> dict[str, Any]:
    texts = [_text(text) for text in (said.content, said.refusal) if text is not None]
    message = {"role": "assistant", "parts": [*texts, *map(_tool_call, said.tool_calls)]}
    if number < len(finish_reasons):
        message["finish_reason"] = finish_reasons[number]
    return message


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """Texts by the convention's name, all others (pictures, audio) as they stand, which it allows."""
    return _text(part["text"]) if isinstance(part.get("text"), str) else {"type": "unknown", **part}


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    kinds = [call[kind] for kind in ("function", "custom") if isinstance(call.get(kind), dict)]
    called: dict[str, Any] = kinds[0] if kinds else {}
    return {
        "type": "tool_call",
        "id": call.get("id"),
        "name": called.get("name", ""),
        "arguments": called.get("arguments", called.get("input")),
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}
