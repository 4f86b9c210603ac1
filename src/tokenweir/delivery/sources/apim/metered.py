"""An event's facts as the record of the call: its usage as it was reported, or counted as the gateway counts."""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from ....apis import OTHER, SURFACES, Surface, surface_of
from ....metering import Measurement, estimate, meter_for, read_usage
from ....policy import Identity
from ....records import CallRecord, Outcome, Usage
from ....wire import close_json, decode_json
from .event import ApimEvent

__all__ = ["BODIES_LEFT_OUT", "EVENT_TRUNCATED", "record_of"]

EVENT_TRUNCATED = "event_truncated"
"""The ``error_code`` of a call of which API Management cut off a part, if that part held the usage."""
BODIES_LEFT_OUT = "bodies_left_out"
"""The ``error_code`` of a call whose bodies were too large to be logged and whose usage was not found."""

_BY_OPERATION = {surface.event_operation or surface.name: surface for surface in SURFACES}
_BY_OBJECT = {surface.object_name: surface for surface in SURFACES if surface.object_name}
# What an answer calls itself. In a text that a model wrote, the quotes are escaped.
_OBJECT = re.compile(rf'(?<!\\)"object"\s*:\s*"({"|".join(map(re.escape, _BY_OBJECT))})\b')
# What a request has a member of, the more telling ones first.
_BY_MEMBER = {
    member: surface_of(api)
    for member, api in {
        "messages": "chat_completions",
        "instructions": "responses",
        "input": "embeddings",
        "prompt": "completions",
    }.items()
}


def record_of(event: ApimEvent, body: bytes, owner: Identity, *, keeps_content: bool) -> CallRecord:
    """The record; the same for the same bytes. Counting takes milliseconds: not for an event loop."""
    request = _Read(event.request)
    asked = request.members
    surface = _surface(event, asked)
    api = surface.name
    stream = _is_stream(event, asked)
    response = _Read(event.response, is_json=not stream)
    meter = meter_for(
        surface_of(api), event_stream=stream, content_encoding="", keep_content=False, monotonic=_no_clock
    )
    meter.feed(response.text.encode(errors="replace"))
    reading = meter.finish()
    is_cut = event.is_cut or request.is_cut or response.is_cut
    outcome, status = _ending(event, reading, breaks_off=stream and surface.is_metered and not is_cut)
    usage = _reported(event, api, None if response.lacks_usage or reading.wrote_since_usage else reading.usage)
    missing = None
    if usage is None and _is_charged(outcome, status, reading):
        if event.leaves_out_bodies:
            missing, usage = BODIES_LEFT_OUT, Usage(reason="too_large")
        else:
            missing = EVENT_TRUNCATED if is_cut else None
            usage = estimate(
                api,
                request.text.encode(errors="replace"),
                reading,
                reading.response_model or event.model or _text(asked.get("model")) or event.deployment,
                ended_normally=outcome == "completed" and not is_cut,
                azure=True,
            )
            is_whole = outcome in ("completed", "upstream_error") and not is_cut
            usage = replace(usage, reason=reading.reason or ("withheld" if is_whole else "cut"))
    usage = usage or Usage()
    started_at = event.started_at or event.ended_at
    latency = event.latency_ms
    if latency is None:
        latency = max(0, (event.ended_at - started_at) // timedelta(milliseconds=1))
    return CallRecord(
        call_id=_call_id(event, body),
        replica=_REPLICA,
        started_at=started_at,
        api=api,
        operation=surface.operation or event.operation or api,
        api_version=event.api_version,
        deployment=event.deployment,
        requested_model=_text(asked.get("model")),
        stream=stream,
        caller=owner.caller or None,
        key_id=owner.key_id,
        tags=owner.tags | ({"product": event.product} if event.product else {}),
        backend=event.backend,
        region=event.region,
        response_model=reading.response_model or event.model,
        response_id=reading.response_id,
        attempts=0 if outcome == "refused" else 1,
        status=status,
        outcome=outcome,
        error_code=reading.error_code or missing,
        finish_reasons=reading.finish_reasons,
        content_filter=reading.content_filter,
        usage=usage,
        service_tier=reading.service_tier,
        tool_usage=reading.tool_usage,
        tool_calls=reading.tool_calls,
        latency_ms=float(latency),
        chunks=reading.chunks,
        bytes_in=len((event.request or "").encode(errors="replace")),
        bytes_out=len((event.response or "").encode(errors="replace")),
        request_body=event.request if keeps_content else None,
        response_body=event.response if keeps_content else None,
        application=event.application,
        subject=event.user,
        identity_source=_identity_source(event),
    )


def _identity_source(event: ApimEvent) -> str | None:
    if event.application is None and event.user is None:
        return None
    return "validated_token" if event.is_validated else "token"


def _no_clock() -> float:
    """Nobody was there when the first token came."""
    return 0.0


class _Read:
    """A body: one that should be a JSON object is repaired where it was cut."""

    def __init__(self, body: str | None, *, is_json: bool = True) -> None:
        self.is_cut = False
        """Whether the end is missing."""
        self.lacks_usage = False
        """Whether the cut went through the usage, so that nobody knows what of it is missing."""
        self.text = body or ""
        self.members: dict[str, Any] = {}
        if not body or not is_json:
            return
        found = decode_json(body.encode(errors="replace"))
        if found is None and (closed := close_json(body)) is not None:
            self.is_cut, self.text = True, closed
            found = decode_json(closed.encode(errors="replace"))
        if isinstance(found, dict):
            self.members = found
            self.lacks_usage = self.is_cut and next(reversed(found), None) == "usage"


def _reported(event: ApimEvent, api: str, read: Usage | None) -> Usage | None:
    if read is not None:
        return read
    return read_usage(event.usage, api) if event.usage else None


def _is_charged(outcome: Outcome, status: int | None, reading: Measurement) -> bool:
    """Whether tokens were used that nobody reported: by answers, and by prompts that the content filter refused."""
    if status is None or outcome == "refused":
        return False
    return status < 300 or (status == 400 and reading.error_code == "content_filter")


def _ending(event: ApimEvent, reading: Measurement, *, breaks_off: bool) -> tuple[Outcome, int | None]:
    """``breaks_off``: whether a stream without its end is one that broke."""
    says_more = event.request_id is not None  # the chargeback solution's policy logs calls with status 200 only
    status = event.status
    if status is None and not says_more:
        status = 200
    if says_more and event.backend is None and (status is None or status >= 400):
        return "refused", status  # by API Management itself
    if status is None or status >= 400 or reading.error_code is not None:
        return "upstream_error", status
    is_whole = reading.done or bool(reading.usage and reading.finish_reasons)
    if breaks_off and event.response and not is_whole:
        return "upstream_broken", status
    return "completed", status


def _surface(event: ApimEvent, asked: dict[str, Any]) -> Surface:
    """The chargeback solution's policy names only two operations; what the others were, their bodies tell."""
    if event.operation in _BY_OPERATION:
        return _BY_OPERATION[event.operation]
    if answered := _OBJECT.search(event.response or ""):
        return _BY_OBJECT[answered[1]]
    return next((surface for member, surface in _BY_MEMBER.items() if member in asked), OTHER)


def _is_stream(event: ApimEvent, asked: dict[str, Any]) -> bool:
    """Whether the answer is server-sent events. An error answers a streaming request with JSON."""
    answer = (event.response or "").lstrip()
    if answer:
        return not answer.startswith(("{", "["))
    return asked.get("stream") is True if event.stream is None else event.stream


def _call_id(event: ApimEvent, body: bytes) -> str:
    """API Management's id of the request. Without one, a UUIDv7 of the event's time and a hash of its bytes: the
    event that comes twice is one call, and two calls never have one id."""
    if event.request_id is not None:
        try:
            return str(UUID(event.request_id))
        except ValueError:
            pass
    millis = (event.ended_at - _EPOCH) // timedelta(milliseconds=1)
    digest = int.from_bytes(sha256(body).digest()[:10])
    number = (millis & (2**48 - 1)) << 80 | 7 << 76 | (digest >> 62 & 0xFFF) << 64 | 2 << 62 | digest & (2**62 - 1)
    return str(UUID(int=number))


_REPLICA = "api-management"
_EPOCH = datetime.fromtimestamp(0, UTC)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
