"""Where a call was tried: why each target's turn came, what became of it, and why others were left alone."""

from collections.abc import Iterator
from typing import Any

from ..records import CallRecord, Trace, TracedAttempt, TracedTarget
from .step import Step

__all__ = ["attempt_steps", "name_of", "takes_calls", "unasked"]

_FAILURES = {
    "upstream_unreachable": "could not be reached",
    "upstream_broken": "went away without an answer",
    "upstream_timeout": "did not begin to answer in time",
    "credential_unavailable": "could not be asked, the gateway had no credential for it",
    "invalid_json": "could not be asked, the body could not be made fit for it",
}


def name_of(target: TracedTarget) -> str:
    details = ", ".join(part for part in (target.deployment, target.sku) if part)
    return f"{target.backend} ({details})" if details else target.backend


def takes_calls(target: TracedTarget) -> bool:
    """Whether it could have been this call's."""
    return target.weight != 0 and target.left_alone is None


def attempt_steps(record: CallRecord, trace: Trace) -> Iterator[Step]:
    """One step per attempt."""
    before: TracedAttempt | None = None
    for number, attempt in enumerate(trace.attempts, 1):
        target = trace.targets[attempt.target]
        is_last = number == len(trace.attempts)
        ended = attempt.answered_ms
        if ended is None and is_last:
            ended = record.first_byte_ms if attempt.status is not None else record.latency_ms
        elif ended is None:
            ended = trace.attempts[number].began_ms
        message = f"{name_of(target)}: {_why(trace, before, attempt)}; {_became(record, attempt, ended, is_last)}"
        yield Step("backend", "connect", attempt.began_ms, message, ended, _data(target, attempt, ended))
        before = attempt


def unasked(record: CallRecord, trace: Trace) -> Step | None:
    """Why the targets behind the last attempt's were not needed, where there are any."""
    if not trace.attempts:
        return None
    last = trace.attempts[-1]
    asked = {attempt.target for attempt in trace.attempts}
    others = [one for number, one in enumerate(trace.targets) if number not in asked and takes_calls(one)]
    if not others:
        return None
    if record.outcome == "client_gone" and last.status is None:
        why = "the client had left"
    elif last.error == "upstream_timeout":
        why = "a call that waited so long may be at work, and is not made twice"
    elif last.error == "invalid_json":
        why = "the body is at fault, wherever it goes"
    elif last.status is None and record.outcome == "aborted":
        why = "the gateway was stopping"
    elif last.status is None or last.status == 429 or last.status >= 500:
        why = "the body had begun to pass through and could not be sent again"
    elif last.status >= 400:
        why = f"{last.status} is an answer to the request itself, and is passed on"
    else:
        why = f"{trace.targets[last.target].backend} had answered"
    names = " and ".join(name_of(target) for target in others)
    at = last.answered_ms or record.first_byte_ms or record.latency_ms
    return Step("backend", "choose", at, f"not asked: {names}; {why}")


def _why(trace: Trace, before: TracedAttempt | None, attempt: TracedAttempt) -> str:
    """Why it was this target's turn."""
    if before is None:
        if len(trace.targets) == 1:
            return "the only choice"
        if all(takes_calls(target) for target in trace.targets):
            return "the first choice"
        return "the first choice of those that take calls"
    if before.target == attempt.target and before.status == 400:
        return "once more without stream_options, which it had refused"
    if before.target == attempt.target:
        return "once more on a new connection, the idle one had been closed by its upstream"
    previous = trace.targets[before.target].backend
    if before.status == 429:
        return f"next, as {previous} had no room (429)"
    if before.error == "upstream_timeout":
        return f"next, as {previous} {_FAILURES[before.error]} and was given up (answer_within)"
    if before.status is not None:
        return f"next, as {previous} answered {before.status}"
    return f"next, as {previous} {_FAILURES.get(before.error or '', f'failed ({before.error})')}"


def _became(record: CallRecord, attempt: TracedAttempt, ended: float | None, is_last: bool) -> str:
    """What became of it."""
    parts = []
    if attempt.connected_ms is not None:
        parts.append(f"connected in {attempt.connected_ms - attempt.began_ms:,.1f} ms")
    elif attempt.sent_ms is not None:
        parts.append("on an idle connection")
    if attempt.status is not None:
        said = f"answered {attempt.status}"
        if ended is not None and attempt.sent_ms is not None:
            said += f" after {ended - attempt.sent_ms:,.1f} ms"
        parts.append(said)
    elif attempt.error is not None:
        parts.append(_FAILURES.get(attempt.error, f"failed ({attempt.error})"))
    elif is_last:
        parts.append(f"no answer had come when the call ended ({record.outcome.replace('_', ' ')})")
    left, left_before = _limits(attempt.headers), _limits(attempt.before)
    if left:
        parts.append(f"{_amounts(left)} left there")
    if left_before:
        parts.append(f"{_amounts(left_before)} before")
    return ", ".join(parts)


def _limits(headers: list[tuple[str, str]]) -> dict[str, str]:
    """What an upstream's answer told of its limits: ``tokens`` → how many remain."""
    prefix = "x-ratelimit-remaining-"
    return {name.lower().removeprefix(prefix): value for name, value in headers if name.lower().startswith(prefix)}


def _amounts(limits: dict[str, str]) -> str:
    return " and ".join(f"{value} {name}" for name, value in limits.items())


def _data(target: TracedTarget, attempt: TracedAttempt, ended: float | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "backend": target.backend,
        "deployment": target.deployment,
        "sku": target.sku,
        "connectedMs": attempt.connected_ms,
        "sentMs": attempt.sent_ms,
        "answeredMs": ended if attempt.status is not None else None,
        "error": attempt.error,
        "limitsBefore": [{"name": name, "value": value} for name, value in attempt.before] or None,
    }
    if attempt.status is not None:
        headers = [{"name": name, "value": value} for name, value in attempt.headers]
        told["response"] = {"status": {"code": attempt.status}, "headers": headers}
    return {name: value for name, value in told.items() if value is not None}
