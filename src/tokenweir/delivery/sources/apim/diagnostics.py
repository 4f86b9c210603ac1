"""What API Management's diagnostic settings send: the entries of its own LLM log, and of its gateway log beside it.

An entry of the LLM log holds up to 32 KB of a call's messages. The first has the counts, the model and the deployment;
those that follow, by ``sequenceNumber``, hold the rest of the text. Whose call it was is only in the gateway log, by
``correlationId``. How many there will be, nothing says: they are all there when their texts are JSON that is closed,
and the gateway log's entry has come, if it comes at all.

Source: Microsoft's reference of the tables ApiManagementGatewayLlmLog and ApiManagementGatewayLogs. There the names are
in Pascal case, in an event hub's messages mostly in camel case: either is read.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from ....errors import quoted
from ....wire import decode_json
from ..formats import RecordPart, Unreadable
from .event import ApimEvent, moment_of

__all__ = ["ENTRIES", "assembled", "entry_part", "event_of", "is_entry"]

_LLM, _GATEWAY = "GatewayLlmLogs", "GatewayLogs"
_TABLES = {"ApiManagementGatewayLlmLog": _LLM, "ApiManagementGatewayLogs": _GATEWAY}
_COUNTS = ("promptTokens", "completionTokens", "totalTokens")
_SEQUENCES = 1_000_000

ENTRIES = b"\0entries "
"""Before the bytes of a call's entries: no JSON begins so."""

_encode = msgspec.json.encode

Entry = dict[str, Any]


def is_entry(members: Mapping[str, Any]) -> bool:
    """Whether a message's object was written by a diagnostic setting, and not by a policy."""
    return bool({"category", "Category", "resourceId", "ResourceId", "_ResourceId"} & members.keys())


def entry_part(members: Mapping[str, Any]) -> RecordPart:
    """The part of a record that an entry is. `Unreadable` if it is of another log, or does not say of which call."""
    entry = _camel(members)
    inner = entry.pop("properties", None)
    entry |= _camel(inner) if isinstance(inner, dict) else {}
    category = str(entry.get("category") or _TABLES.get(str(entry.get("type")), "")).rpartition("/")[2]
    if category not in (_LLM, _GATEWAY):
        raise Unreadable(
            f"it is of the log {quoted(category[:40])}, which tells nothing of tokens: let the diagnostic setting send "
            f"{_LLM} to this hub, and {_GATEWAY} so that calls have their subscriptions"
        )
    call_id = entry.get("correlationId")
    if not isinstance(call_id, str) or not 0 < len(call_id) <= 200:
        raise Unreadable("it has no correlationId, by which the entries of one call belong together")
    entry["category"] = category
    # Behind all of the LLM log's entries, which count from 0 or 1.
    number = _SEQUENCES if category == _GATEWAY else min(_count(entry.get("sequenceNumber")) or 0, _SEQUENCES - 1)
    return RecordPart(_encode(entry), call_id, number + 1, parts=0)


def assembled(parts: Sequence[bytes], *, waits_for_owner: bool, waits_for_text: bool, is_last: bool) -> bytes | None:
    """One call's entries in their order as the bytes of a record; None where others have to come, or, with ``is_last``,
    where there is nothing to be metered."""
    entries: list[Entry] = [msgspec.json.decode(part) for part in parts]
    logged = [entry for entry in entries if entry["category"] == _LLM]
    first = next((entry for entry in logged if _has_counts(entry) or entry.get("modelName")), None)
    if first is None:
        return None  # texts without the counts, or a call that no model answered
    if not is_last:
        if waits_for_owner and len(logged) == len(entries):
            return None
        needs_text = waits_for_text or not _has_counts(first)
        texts = (_text(logged, "requestMessages"), _text(logged, "responseMessages"))
        if needs_text and not (_is_gapless(logged) and all(text and _is_closed(text) for text in texts)):
            return None
    return ENTRIES + _encode(entries)


def event_of(data: bytes) -> ApimEvent:
    """The facts of one call, of what `assembled` has made. `Unreadable` if it has no time."""
    entries = msgspec.json.decode(data.removeprefix(ENTRIES), type=list[Entry])
    logged = [entry for entry in entries if entry["category"] == _LLM]
    gateway = next((entry for entry in entries if entry["category"] == _GATEWAY), {})
    first = next(entry for entry in logged if _has_counts(entry) or entry.get("modelName"))
    began = moment_of(gateway.get("time") or first.get("time") or first.get("timeGenerated"))
    if began is None:
        raise Unreadable("its time is no time like 2026-11-22T12:00:01.4567890Z")
    model, deployment = _name(first, "modelName"), _name(first, "deploymentName")
    url = urlsplit(_name(gateway, "url") or "")
    backend = _name(gateway, "backendId") or _name(first, "backendId")
    request, response = _text(logged, "requestMessages"), _text(logged, "responseMessages")
    is_claude = (model or "").lower().startswith("claude")
    return ApimEvent(
        started_at=began,
        ended_at=began,
        latency_ms=_count(gateway.get("totalTime")) or _count(gateway.get("durationMs")),
        operation="messages" if is_claude else "Response" if "/responses" in url.path else "ChatCompletion",
        request=_request(request, model),
        response=_response(response, model),
        is_cut=not (_is_closed(request) and _is_closed(response)),
        leaves_out_bodies=not request and not response,
        request_id=str(first["correlationId"]),
        subscription=_name(gateway, "apimSubscriptionId") or _name(first, "apimSubscriptionId"),
        product=_name(gateway, "productId") or _name(first, "productId"),
        deployment=deployment,
        api_version=_name(first, "apiVersion") or next(iter(parse_qs(url.query).get("api-version", [])), None),
        status=_count(gateway.get("responseCode")) or 200,
        region=_name(first, "region") or _name(first, "location"),
        backend=backend or urlsplit(_name(gateway, "backendUrl") or "").hostname or "",
        stream=first.get("isStreamCompletion") in (True, "true", "True"),
        model=model,
        usage=_usage(first, is_claude=is_claude) if _has_counts(first) else None,
    )


def _usage(entry: Entry, *, is_claude: bool) -> dict[str, Any]:
    """As the API's own answer tells it. Claude's prompt does not contain what came from the cache; OpenAI's does."""
    prompt, completion, total = (_count(entry.get(name)) or 0 for name in _COUNTS)
    cached = _count(entry.get("promptCachedTokens"))
    if is_claude:
        said = {"input_tokens": prompt, "output_tokens": completion}
        return said if cached is None else said | {"cache_read_input_tokens": cached}
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total or prompt + completion,
    }
    return usage if cached is None else usage | {"prompt_tokens_details": {"cached_tokens": cached}}


def _has_counts(entry: Entry) -> bool:
    """A first entry of a call whose usage API Management did not see has nothing but zeros."""
    return any(_count(entry.get(name)) for name in _COUNTS)


def _is_gapless(entries: Sequence[Entry]) -> bool:
    numbers = [_count(entry.get("sequenceNumber")) or 0 for entry in entries]
    return numbers[0] <= 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _text(entries: Sequence[Entry], name: str) -> str:
    return "".join(text for entry in entries if isinstance(text := entry.get(name), str))


def _is_closed(text: str) -> bool:
    """Whether nothing is missing of it, as far as its brackets tell; one that is no list or object is whole."""
    return not text.lstrip().startswith(("[", "{")) or decode_json(text.encode(errors="replace")) is not None


def _request(text: str, model: str | None) -> str | None:
    if not text:
        return None
    messages = decode_json(text.encode(errors="replace"))
    return _encode({"model": model, "messages": text if messages is None else messages}).decode()


def _response(text: str, model: str | None) -> str | None:
    if not text:
        return None
    found = decode_json(text.encode(errors="replace"))
    messages = found if isinstance(found, list) else [{"content": text} if found is None else found]
    choices = [{"index": index, "message": message} for index, message in enumerate(messages)]
    return _encode({"object": "chat.completion", "model": model or "", "choices": choices}).decode()


def _camel(members: Mapping[str, Any]) -> Entry:
    return {name[:1].lower() + name[1:]: value for name, value in members.items() if value is not None}


def _name(entry: Entry, name: str) -> str | None:
    value = entry.get(name)
    return value[:2_000] if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    """A number, or the text of one."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None
