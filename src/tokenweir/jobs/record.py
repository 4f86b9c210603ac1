"""A job's own record: what it used, in the name of whoever made it.

Its id is derived from what the job is, so that whoever writes it, and however often, everybody who keeps records by
``call_id`` keeps one.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from ..apis import OTHER, SURFACES, Surface, surface_of
from ..metering import UsedOnSocket, read_usage, tells_counts
from ..records import (
    JOB,
    NO_USAGE,
    SESSION,
    CallRecord,
    Quantity,
    QuantitySource,
    Usage,
    derived_call_id,
    exact_amount,
)
from .table import Job, JobKey

__all__ = [
    "day_record",
    "derived_id",
    "given_up_record",
    "heard_record",
    "hosting_record",
    "job_record",
    "lacks_usage",
    "session_record",
]

_ENDS = ("completed_at", "finished_at", "failed_at", "cancelled_at", "expired_at")
# These have columns of their own.
_USED = ("id", "usage", "tool_usage", "tool_calls", "counted")
_LATEST = datetime(9000, 1, 1, tzinfo=UTC).timestamp()


def derived_id(key: JobKey, made_at: object, suffix: str = "") -> str:
    """Of a job that was made then, as its upstream says it in seconds."""
    return derived_call_id([*key, suffix], _seconds(made_at))


def lacks_usage(said: Mapping[str, Any]) -> bool:
    """Whether a batch has run and does not tell its usage, which its output has then."""
    usage, counts = said.get("usage"), said.get("request_counts")
    if isinstance(usage, dict) and (usage.get("input_tokens") or usage.get("output_tokens")):
        return False
    completed = counts.get("completed") if isinstance(counts, dict) else None
    return bool(said.get("output_file_id")) and completed != 0


def job_record(job: Job, made: CallRecord, said: Mapping[str, Any], by: str, now: datetime) -> CallRecord:
    """The record of a job that has ended. ``said`` is what was told of it, ``by`` whom that was told to."""
    surface = _surface(made, said)
    ended = next((moment for name in _ENDS if (moment := _seconds(said.get(name))) is not None), None)
    record = _record(job, made, said)
    is_batch = job.key.kind == "batch"
    return replace(
        record,
        api=surface.name,
        started_at=now if ended is None else datetime.fromtimestamp(ended, UTC),
        deployment=made.deployment or _text(said, "deployment") or (_text(said, "model") if is_batch else None),
        service_tier="batch" if is_batch else _text(said, "service_tier"),
        response_model=_text(said, "model") or made.response_model,
        usage=_usage(job.key.kind, said, surface),
        tool_usage=_object(said, "tool_usage"),
        tool_calls=_counts(said, "tool_calls"),
        job={**record.job, "seen_by": by} if record.job is not None else None,
    )


def given_up_record(job: Job, made: CallRecord, reason: str, now: datetime) -> CallRecord:
    """The record of a job whose end could not be learnt. It has an id of its own: what is learnt later still counts."""
    record = _record(job, made, made.job or {}, "given up")
    return replace(
        record,
        started_at=now,
        outcome="upstream_error",
        error_code="given_up",
        usage=Usage(reason="given_up"),
        job={**(record.job or {}), "gave_up": reason},
    )


def day_record(job: Job, made: CallRecord, said: Mapping[str, Any], day: int, start: datetime) -> CallRecord:
    """The record of one day of what is billed by days, which began at ``start``."""
    size = exact_amount(said.get("usage_bytes"))
    record = _record(job, made, said, f"day {day}")
    return replace(record, started_at=start, usage=_used("byte_days", size, "derived"))


def hosting_record(job: Job, made: CallRecord, day: int, hours: int) -> CallRecord:
    """The record of the hours of one day, counted from when the deployment was first configured."""
    started = job.made_at + timedelta(days=day)
    record = _record(job, made, {"created_at": job.made_at.timestamp()}, f"{job.made_at.isoformat()} day {day}")
    return replace(
        record,
        started_at=started,
        job_id=None,
        job={"object": "hosting"},
        usage=_used("hosted_hours", hours, "derived"),
    )


def heard_record(job: Job, made: CallRecord, used: UsedOnSocket, model: str | None, at: datetime) -> CallRecord:
    """The record of a response, or a transcription, that was heard of in a session; it began ``at``. Whoever else hears
    of it gives it the same id."""
    measured = used.measurement
    operation = used.operation or "realtime"
    names = [operation, job.key.resource, measured.response_id or f"{job.key.id} {at.isoformat()}"]
    usage = measured.usage or (Usage(reason=measured.reason) if measured.reason else NO_USAGE)
    return replace(
        _record(job, made, {}),
        call_id=derived_call_id(names),
        started_at=at,
        api="realtime",
        operation=operation,
        stream=True,
        deployment=made.deployment or model,
        response_model=measured.response_model,
        response_id=measured.response_id,
        service_tier=measured.service_tier,
        finish_reasons=measured.finish_reasons,
        session_id=job.key.id,
        job_id=None,
        outcome="completed" if measured.error_code is None else "upstream_error",
        error_code=measured.error_code,
        usage=usage,
        chunks=measured.chunks,
    )


def session_record(
    job: Job, made: CallRecord, usage: Usage, model: str | None, at: datetime, *, is_whole: bool
) -> CallRecord:
    """The record of a session that was listened to, from when it was made until its end; ``is_whole``: without a
    break."""
    return replace(
        _record(job, made, {}, SESSION),
        started_at=at,
        api="realtime",
        operation=SESSION,
        deployment=made.deployment or model,
        response_model=model,
        session_id=job.key.id,
        job_id=None,
        outcome="completed" if is_whole else "upstream_broken",
        usage=usage,
    )


def _record(job: Job, made: CallRecord, said: Mapping[str, Any], suffix: str = "") -> CallRecord:
    """What was never a call keeps the names of the one that made it, and nothing that was measured of it."""
    facts = {name: value for name, value in said.items() if name not in _USED}
    return CallRecord(
        call_id=derived_id(job.key, (made.job or said).get("created_at"), suffix),
        started_at=made.started_at,
        api=made.api,
        operation=JOB,
        path=made.path,
        api_version=made.api_version,
        deployment=made.deployment,
        requested_model=made.requested_model,
        requested_service_tier=made.requested_service_tier,
        caller=made.caller,
        key_id=made.key_id,
        subject=made.subject,
        tags=made.tags,
        application=made.application,
        identity_source=made.identity_source,
        backend=made.backend,
        region=made.region,
        sku=made.sku,
        served_deployment=made.served_deployment,
        spillover_from=made.spillover_from,
        response_id=job.key.id if job.key.kind == "response" else None,
        job_id=job.key.id,
        job={**facts, "made_by": made.call_id},
    )


def _surface(made: CallRecord, said: Mapping[str, Any]) -> Surface:
    """Whose calls a job consists of: a batch says it, others were made by such a call."""
    endpoint = said.get("endpoint")
    if not isinstance(endpoint, str):
        return surface_of(made.api)
    tail = endpoint.removeprefix("/openai").removeprefix("/v1").strip("/")
    return next((surface for surface in SURFACES if surface.root == "openai" and tail in surface.paths), OTHER)


def _usage(kind: str, said: Mapping[str, Any], surface: Surface) -> Usage:
    usage = _object(said, "usage")
    if usage is not None and tells_counts(usage):
        # A batch has the names of the Responses API, whatever its calls are; the lines of its output have their own.
        names = "responses" if "input_tokens" in usage else surface.name
        counted = {name: Quantity(amount, "counted") for name, amount in _counts(said, "counted").items()}
        read = read_usage(usage, names)
        return replace(read, quantities=counted | read.quantities)
    if kind == "fine_tuning":
        return _told("trained_tokens", exact_amount(said.get("trained_tokens")), said)
    if kind in ("video", "video_generation"):
        return _told("output_video_seconds", _video_seconds(said), said)
    counts = said.get("request_counts")
    if kind == "batch" and isinstance(counts, dict) and counts.get("completed") == 0:
        return Usage()  # nothing of it has run
    return Usage(reason="withheld")


def _told(name: str, amount: int | Decimal | None, said: Mapping[str, Any]) -> Usage:
    """One quantity. What has failed uses nothing; what has succeeded and does not say it is not known."""
    if amount is None and said.get("status") not in ("completed", "succeeded"):
        return Usage()
    return _used(name, amount, "reported")


def _used(name: str, amount: int | Decimal | None, source: QuantitySource) -> Usage:
    if amount is None:
        return Usage(reason="withheld", quantities={name: Quantity(None, "unknown")})
    return Usage(source="reported", quantities={name: Quantity(amount, source)})


def _video_seconds(said: Mapping[str, Any]) -> int | Decimal | None:
    """Only what was completed is billed."""
    if said.get("status") not in ("completed", "succeeded"):
        return None
    told: object = said.get("seconds", said.get("n_seconds"))
    if isinstance(told, str) and told.isdecimal():
        told = int(told)
    seconds, variants = exact_amount(told), exact_amount(said.get("n_variants", 1))
    return None if seconds is None or variants is None else seconds * variants


def _seconds(value: object) -> float | None:
    return float(value) if type(value) in (int, float) and 0 <= value < _LATEST else None  # type: ignore[operator,arg-type]


def _text(said: Mapping[str, Any], name: str) -> str | None:
    value = said.get(name)
    return value if isinstance(value, str) else None


def _object(said: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = said.get(name)
    return value if isinstance(value, dict) else None


def _counts(said: Mapping[str, Any], name: str) -> dict[str, int]:
    return {kind: count for kind, count in (_object(said, name) or {}).items() if type(count) is int}
