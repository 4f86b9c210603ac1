"""Step 6, settle: what happened becomes one record, and the record becomes durable."""

from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from ..deployments import Target
from ..metering import NO_READING, Reading
from ..policy import Identity
from ..records import CallRecord, Trace, Usage, UsageReason, usage_fields
from ..upstream import Upstream
from ..wire import Fields, ResponseHead
from .request import Address, Admission, Ending, Request

__all__ = [
    "Timings",
    "completed_by",
    "ends_whole",
    "needs_estimate",
    "record_in_common",
    "record_of",
    "why_not_reported",
]


class Timings(msgspec.Struct, gc=False):
    """Moments of one call on the monotonic clock, seconds; 0.0 where a moment never came."""

    received: float
    since: float = 0.0
    """When the call last came into the gateway's own hands, not waiting for client, upstream or network."""
    own: float = 0.0
    """Seconds, not a moment: how long it was there before it was sent, all attempts together."""
    sent: float = 0.0
    first_byte: float = 0.0
    first_token: float = 0.0
    ended: float = 0.0

    def note_sent(self, now: float) -> None:
        """The call has left for an upstream."""
        self.own += now - self.since
        self.sent = now


def needs_estimate(request: Request, ending: Ending, *, reached_upstream: bool) -> bool:
    """Whether tokens were used that nobody reported.

    1. A metered 200 whose usage never came, however it ended.
    2. A call given up while the model was at work: client gone, or silence for too long.
    3. A prompt that the content filter refused: Microsoft bills it.
    """
    if not request.address.route.is_metered or not reached_upstream:
        return False
    if ending.reading is not None and ending.reading.usage is not None:
        return ending.reading.wrote_since_usage  # what was told is not the usage of the whole answer
    if ending.status == 400:
        return ending.error_code == "content_filter"
    if ending.reading is None:
        return ending.outcome in ("client_gone", "timed_out", "aborted")
    return ending.status is not None and ending.status < 300


def why_not_reported(ending: Ending) -> UsageReason:
    """Why usage that was due was not reported, or not all of it."""
    reading = ending.reading
    if reading is not None and reading.reason is not None:
        return reading.reason
    return "withheld" if ending.outcome in ("completed", "upstream_error") else "cut"


def completed_by(told: Usage | None, estimated: Usage) -> Usage:
    """An estimate with what was told before the answer was at its end: no count is less than that."""
    if told is None or estimated.source != "estimated":
        return estimated
    output = max(told.output_tokens, estimated.output_tokens)
    return replace(
        told,
        source="estimated",
        input_tokens=told.input_tokens or estimated.input_tokens,
        output_tokens=output,
        total_tokens=(told.input_tokens or estimated.input_tokens) + output,
    )


def ends_whole(reading: Reading) -> bool:
    """Whether an answer that ended in order had come to its own end, as far as anybody can tell.

    A stream that told its usage and its reasons to finish may lack ``[DONE]``; of what the meter could not
    read, nothing can be said against it.
    """
    return reading.done or reading.unreadable is not None or bool(reading.usage and reading.finish_reasons)


def record_in_common(
    address: Address,
    admission: Admission | None,
    target: Target | None,
    upstream: Upstream | None,
    *,
    replica: str,
    client_address: str | None,
) -> CallRecord:
    """What the records of one client's calls to one target have in common. The rest is ``record_of``'s."""
    route = address.route
    identity = admission.identity if admission is not None else _NO_ONE
    return CallRecord(
        call_id="",
        replica=replica,
        started_at=_NEVER,
        api=route.api,
        operation=route.operation,
        method=address.method,
        path=address.path,
        api_version=address.api_version,
        deployment=route.deployment,
        caller=identity.caller or None,
        key_id=identity.key_id,
        subject=admission.subject if admission is not None else None,
        tags=identity.tags,
        client_address=client_address,
        user_agent=address.user_agent,
        backend=upstream.name if upstream else None,
        region=upstream.settings.region if upstream else None,
        sku=target.sku if target else None,
        session_id=route.session_id,
        job_id=route.job_id,
        traceparent=address.traceparent,
    )


def record_of(
    common: CallRecord,
    request: Request,
    target: Target | None,
    answer: ResponseHead | None,
    ending: Ending,
    usage: Usage,
    timings: Timings,
    *,
    seq: int,
    attempts: int,
    bytes_in: int,
    bytes_out: int,
    keeps_content: bool,
    trace: Trace | None,
) -> CallRecord:
    """The record of one call, complete. Durations are whole microseconds, written in milliseconds."""
    reading = ending.reading or NO_READING
    answered = answer.fields if answer is not None else _NOTHING
    started, ended, first_byte = timings.received, timings.ended, timings.first_byte
    region = answered.get(b"x-ms-region")
    request_id = answered.get(b"apim-request-id") or answered.get(b"x-request-id")
    served_by = answered.get(b"x-ms-deployment-name")
    spilled_from = answered.get(b"x-ms-spillover-from-deployment")
    served_model = None if reading.response_model else answered.get(b"x-ms-served-model")
    deployment = common.deployment
    if deployment is None and target is not None and target.deployment is not None:
        deployment = request.model  # where the path names no deployment, this does
    record = replace(
        common,
        call_id=request.call_id,
        seq=seq,
        started_at=request.started_at,
        deployment=deployment,
        requested_model=request.model,
        stream=request.stream,
        region=region.decode("latin-1") if region else common.region,
        response_model=served_model.decode("latin-1") if served_model else reading.response_model,
        upstream_request_id=request_id.decode("latin-1") if request_id else None,
        response_id=reading.response_id,
        attempts=attempts,
        status=ending.status,
        outcome=ending.outcome,
        finish_reasons=reading.finish_reasons,
        usage_source=usage.source,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        total_tokens=usage.total_tokens,
        usage=usage.raw,
        first_byte_ms=int((first_byte - started) * 1e6) / 1000 if first_byte else None,
        first_token_ms=int((timings.first_token - started) * 1e6) / 1000 if timings.first_token else None,
        stream_ms=int((ended - first_byte) * 1e6) / 1000 if first_byte and request.stream else None,
        latency_ms=int((ended - started) * 1e6) / 1000,
        gateway_ms=int(timings.own * 1e6) / 1000,
        chunks=reading.chunks,
        bytes_in=bytes_in,
        bytes_out=bytes_out,
    )
    # Few calls have any of what follows, and each name costs every call that gives it.
    if _has_more_counts(usage):
        record = replace(record, **usage_fields(usage))
    if served_by or spilled_from or b"x-ms-is-spilled-over" in answered:
        spilled_here = target.deployment if target and _is_spillover(answered) else None
        record = replace(
            record,
            served_deployment=served_by.decode("latin-1") if served_by else None,
            spillover_from=spilled_from.decode("latin-1") if spilled_from else spilled_here,
        )
    if request.service_tier or reading.service_tier or reading.tool_usage is not None or reading.tool_calls:
        record = replace(
            record,
            requested_service_tier=request.service_tier,
            service_tier=reading.service_tier,
            tool_usage=reading.tool_usage,
            tool_calls=reading.tool_calls,
        )
    if reading.job_id is not None or reading.session_id is not None:
        record = replace(record, job_id=reading.job_id, session_id=reading.session_id)
    if ending.error_code is not None or reading.content_filter is not None or usage.reason is not None:
        record = replace(
            record,
            error_code=ending.error_code,
            content_filter=reading.content_filter,
            usage_reason=usage.reason,
        )
    if keeps_content or trace is not None:
        record = replace(
            record,
            request_body=_content(request.whole_body()) if keeps_content else None,
            response_body=reading.content if keeps_content else None,
            trace=trace,
        )
    return record


def _has_more_counts(usage: Usage) -> bool:
    return bool(
        usage.cache_write_tokens
        or usage.cached_audio_tokens
        or usage.cached_image_tokens
        or usage.input_audio_tokens
        or usage.output_audio_tokens
        or usage.input_image_tokens
        or usage.output_image_tokens
        or usage.accepted_prediction_tokens
        or usage.rejected_prediction_tokens
    )


_NEVER = datetime.fromtimestamp(0, UTC)
_NOTHING: Fields = {}
_NO_ONE = Identity("")


def _is_spillover(answered: Fields) -> bool:
    return answered.get(b"x-ms-is-spilled-over", b"").lower() == b"true"


def _content(body: bytes) -> str | None:
    return body.decode("utf-8", "replace") if body else None
