"""The steps of one call in words: when each was, what was decided in it, and why.

Most of it stands in the record, which every call has. A trace adds the attempts with their moments, the headers and
the arrivals; without one, what the record tells is told.

    accept ▸ admit ▸ choose          inbound
    connect, once per attempt        backend
    forward ▸ settle                 outbound
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from ..records import CallRecord, FlatRecord, Trace, TracedTarget, Usage, from_flat
from .arrivals import longest_gaps
from .attempts import attempt_steps, name_of, unasked
from .step import Step

__all__ = ["Step", "record_of_row", "steps_of", "why_no_trace"]

# What ends a call while it is read or let in, and where.
_UNREADABLE = frozenset(["malformed_request", "request_head_too_large", "request_timeout", "unknown_route"])
_NOT_LET_IN = frozenset(["invalid_api_key", "journal_unavailable", "shutting_down"])
_NO_PLACE = frozenset(["DeploymentNotFound"])

# How many pauses are worth naming.
_GAPS = 3


def record_of_row(row: Mapping[str, Any]) -> CallRecord:
    """The record behind a ledger's row, in Python's values or in JSON's."""
    known = {name: value for name, value in row.items() if value is not None}
    return from_flat(msgspec.convert(known, FlatRecord))


def steps_of(record: CallRecord) -> list[Step]:
    """All steps, in the order in which they came."""
    trace = record.trace
    steps = [*_inbound(record, trace), *_backend(record, trace), *_outbound(record, trace)]
    return [*steps, _settled(record)]


def why_no_trace(record: CallRecord) -> str:
    """Why a call has none, and what would have kept one."""
    if record.outcome != "completed" or (record.status or 0) >= 400:
        return (
            "it did not end well, and the trace of such a call is kept unless `[tracing] failed` is false "
            "(or the disk was full and journals left out contents)"
        )
    return (
        "it went well and was not slow (`[tracing] slow_call`, `slow_first_byte`), `[tracing] sample` did not choose "
        "it, and it brought no debug token (`tokenweir trace --token`), which would have had it traced"
    )


def _inbound(record: CallRecord, trace: Trace | None) -> Iterator[Step]:
    headers = trace.request_headers if trace is not None else []
    request: dict[str, Any] = {"method": record.method, "url": record.path}
    if headers:
        request["headers"] = _named(headers)
    whole = trace.body_ms if trace is not None else None
    if record.error_code in _UNREADABLE and record.outcome == "refused":
        what = f"{record.method} {record.path}".strip() or "what came"
        message = f"{what} was not taken ({record.error_code})"
        yield Step("inbound", "accept", 0.0, message, data={"request": request})
        return
    yield Step("inbound", "accept", 0.0, _asked(record), until_ms=whole, data={"request": request})
    yield Step("inbound", "admit", 0.0, _admitted(record), data=_who(record))
    if record.caller is None or record.error_code in _NOT_LET_IN:
        return
    chosen = _chosen(record, trace)
    if chosen is not None:
        targets = msgspec.to_builtins(trace.targets) if trace is not None else []
        yield Step("inbound", "choose", whole or 0.0, chosen, data={"targets": targets} if targets else {})


def _asked(record: CallRecord) -> str:
    said = f"{record.method} {record.path}"
    if record.api_version:
        said += f", api-version {record.api_version}"
    if record.bytes_in:
        said += f", {record.bytes_in:,} bytes"
    return said + (", to be streamed" if record.stream else "")


def _admitted(record: CallRecord) -> str:
    code = record.error_code
    if code == "invalid_api_key":
        return "refused: the key is none that this gateway knows"
    whose = "anonymous: no keys are asked for" if record.key_id is None else f"by key {record.key_id}"
    who = record.caller if record.caller != "anonymous" else None
    said = ", ".join(part for part in (who, whose) if part) if record.caller else "nobody was let in"
    return f"{said}, refused ({code})" if code in _NOT_LET_IN and record.outcome == "refused" else said


def _who(record: CallRecord) -> dict[str, Any]:
    told = {"caller": record.caller, "keyId": record.key_id, "subject": record.subject, "tags": record.tags}
    return {"configuration": {name: value for name, value in told.items() if value}}


def _chosen(record: CallRecord, trace: Trace | None) -> str | None:
    if record.error_code in _NO_PLACE and not record.attempts:
        return f"{record.deployment or 'what was asked for'} is no deployment of this gateway"
    if trace is None:
        return f"{record.deployment or 'the call'} → {record.backend}" if record.backend else None
    if not trace.targets:
        return f"refused ({record.error_code})" if record.outcome == "refused" else None
    names = [name_of(target) for target in trace.targets]
    what = record.deployment if trace.targets[0].deployment else None
    if what is None:
        return f"{names[0]}: what names no deployment belongs to the first upstream"
    if len(names) == 1:
        standing = f", {_standing(trace.targets[0])}" if trace.targets[0].priority is not None else ""
        return f"{what} has one target: {names[0]}{standing}"
    if trace.targets[0].priority is None:
        order = ", ".join(f"{number}. {name}" for number, name in enumerate(names, 1))
        return f"{what} has {len(names)} targets, in their order: {order}"
    said = [f"{name}, {_standing(target)}" for name, target in zip(names, trace.targets, strict=True)]
    return f"{what} has {len(names)} targets: {'; '.join(said)}"


def _standing(target: TracedTarget) -> str:
    if target.weight == 0:
        return "drained"
    said = f"priority {target.priority}"
    if target.weight != 1:
        said += f", weight {target.weight:g}"
    if target.left_alone is not None:
        said += f", left alone after {target.left_alone}"
        said += f" for another {target.left_alone_ms / 1000:,.1f} s" if target.left_alone_ms else ""
    return said


def _backend(record: CallRecord, trace: Trace | None) -> Iterator[Step]:
    if trace is not None:
        yield from attempt_steps(record, trace)
        left = unasked(record, trace)
        if left is not None:
            yield left
    elif record.attempts:
        times = "one attempt" if record.attempts == 1 else f"{record.attempts} attempts, {record.backend} was the last"
        yield Step("backend", "connect", record.gateway_ms, times, record.first_byte_ms)


def _outbound(record: CallRecord, trace: Trace | None) -> Iterator[Step]:
    first = record.first_byte_ms
    if first is None:
        if record.status is not None:
            said = f"{_status(record.status)}, an answer of this gateway ({record.error_code})"
            response = {"status": _status_data(record.status)}
            yield Step("outbound", "forward", record.latency_ms, said, data={"response": response})
        return
    answered: dict[str, Any] = {"status": _status_data(record.status)}
    if trace is not None and trace.attempts:
        answered["headers"] = _named(trace.attempts[-1].headers)
    said = f"the first byte of {_status(record.status)}"
    if record.region:
        said += f" from {record.region}"
    yield Step("outbound", "forward", first, said, data={"response": answered})
    pieces = f"{record.chunks:,} {_plural(record.chunks, 'event')}, " if record.stream and record.chunks else ""
    data: dict[str, Any] = {}
    said = f"{pieces}{record.bytes_out:,} bytes passed on"
    if trace is not None and trace.arrivals:
        gaps = longest_gaps(trace.arrivals, _GAPS)
        count = len(trace.arrivals) + trace.arrivals_left_out
        data = {
            "arrivals": [{"elapsedMs": at, "bytes": size} for at, size in trace.arrivals],
            "arrivalsLeftOut": trace.arrivals_left_out,
            "longestGaps": [{"afterMs": gap.after_ms, "lastedMs": gap.lasted_ms} for gap in gaps],
        }
        said += f" in {count:,} {_plural(count, 'piece')}"
        if gaps:
            said += f"; the longest pause was {gaps[0].lasted_ms:,.1f} ms"
    yield Step("outbound", "forward", first, said, record.latency_ms, data)
    if record.first_token_ms is not None:
        yield Step("outbound", "forward", record.first_token_ms, "the first token")


def _settled(record: CallRecord) -> Step:
    usage = record.usage
    said = record.outcome.replace("_", " ")
    if record.error_code:
        said += f" ({record.error_code})"
    said += f"; {_usage(record.usage)}"
    if record.finish_reasons:
        said += f"; ended by {', '.join(record.finish_reasons)}"
    if record.cost is not None:
        least = "" if record.cost_reason is None else "at least "
        said += f"; {least}{record.cost:f} {record.currency or ''}".rstrip()
    told = {
        "outcome": record.outcome,
        "errorCode": record.error_code,
        "usageSource": usage.source,
        "inputTokens": usage.input_tokens,
        "cachedInputTokens": usage.cached_input_tokens,
        "outputTokens": usage.output_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "totalTokens": usage.total_tokens,
        "gatewayMs": record.gateway_ms,
        "traced": list(record.trace.reasons) if record.trace is not None else None,
    }
    return Step(
        "outbound",
        "settle",
        record.latency_ms,
        said,
        data={name: value for name, value in told.items() if value is not None},
    )


def _usage(usage: Usage) -> str:
    if usage.source == "none":
        return "no tokens that anybody knows of"
    by = "as the upstream reported" if usage.source == "reported" else "estimated by this gateway"
    details = [
        f"{count:,} {what}"
        for count, what in ((usage.cached_input_tokens, "cached"), (usage.reasoning_tokens, "reasoning"))
        if count
    ]
    of_these = f" ({', '.join(details)})" if details else ""
    return f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out{of_these}, {by}"


def _status_data(status: int | None) -> dict[str, Any]:
    return {"code": status, "reason": _reason(status)}


def _status(status: int | None) -> str:
    return f"{status} {_reason(status)}".strip()


def _reason(status: int | None) -> str:
    try:
        return HTTPStatus(status or 0).phrase
    except ValueError:
        return ""


def _named(headers: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"
