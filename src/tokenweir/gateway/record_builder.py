"""What happened in a call becomes one record."""

import re

from msgspec.structs import replace

from ..apis import FREE, SESSION_ACCEPTED, SESSION_MAKERS, is_heard_at
from ..deployments import Target
from ..metering import NO_MEASUREMENT, Measurement
from ..policy import Identity
from ..records import NO_USAGE, CallRecord, Quantity, Trace, Usage, UsageReason
from ..upstream import Upstream
from ..wire import Fields, ResponseHead
from .request import Address, Admission, Ending, Request
from .routes import READS
from .timings import Timings

__all__ = [
    "SharedFields",
    "can_be_heard",
    "completed_by",
    "ends_whole",
    "made_session",
    "needs_estimate",
    "record_of",
    "unmetered",
    "why_not_reported",
]


def needs_estimate(request: Request, ending: Ending, *, reached_upstream: bool) -> bool:
    """Whether tokens were used that nobody reported.

    1. A metered 200 whose usage never came, however it ended.
    2. A call given up while the model was at work: client gone, or silence for too long.
    3. A prompt that the content filter refused: Microsoft bills it.
    """
    address = request.address
    if not address.is_metered or not address.surface.units or not reached_upstream or ending.status == 101:
        return False  # of a WebSocket each response has its own record
    if ending.reading is not None and ending.reading.job is not None:
        return False  # what goes on without the call tells its usage later
    if ending.reading is not None and ending.reading.usage is not None:
        return ending.reading.wrote_since_usage  # what was told is not the usage of the whole answer
    if ending.status == 400:
        return ending.error_code == "content_filter"
    if ending.reading is None:
        return ending.outcome in ("client_gone", "timed_out", "aborted")
    return ending.status is not None and ending.status < 300


def unmetered(request: Request, ending: Ending, size: int) -> Usage:
    """The usage of a call that told none and of which none is estimated. Where it may have been billed for something
    that nobody here understands, that is said, with the bytes of its bodies."""
    address, status = request.address, ending.status
    route = address.route
    if address.is_metered or status is None or status >= 300 or route.job_id is not None or route.operation in FREE:
        return NO_USAGE
    if request.head.method in READS and not address.is_socket:
        return NO_USAGE
    return Usage(reason="unmetered", quantities={"unmetered_bytes": Quantity(size, "counted")})


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


def ends_whole(reading: Measurement) -> bool:
    """Whether an answer that ended in order had come to its own end, as far as anybody can tell.

    A stream that told its usage and its reasons to finish may lack ``[DONE]``; of what the meter could not
    read, nothing can be said against it.
    """
    return reading.done or reading.unreadable is not None or bool(reading.usage and reading.finish_reasons)


class SharedFields:
    """What the records of one client's calls to one target have in common, by the names of a record. The rest is
    ``record_of``'s."""

    def __init__(
        self,
        address: Address,
        admission: Admission | None,
        target: Target | None,
        upstream: Upstream | None,
        *,
        replica: str,
        client_address: str | None,
    ) -> None:
        route = address.route
        identity = admission.identity if admission is not None else _NO_ONE
        self.replica = replica
        self.api = route.api
        self.operation = route.operation
        self.method = address.method
        self.path = address.path
        self.api_version = address.api_version
        if upstream is not None and route.family in upstream.provider.versioned:
            of_target = target.api_version if target is not None else None
            self.api_version = of_target or address.api_version or upstream.settings.api_version
        self.deployment = route.deployment
        self.caller = identity.caller or None
        self.key_id = identity.key_id
        self.subject = admission.subject if admission is not None else None
        self.tags = identity.tags
        self.client_address = client_address
        self.user_agent = address.user_agent
        self.backend = upstream.name if upstream is not None else None
        self.region = upstream.settings.region if upstream is not None else None
        self.sku = target.sku if target is not None else None
        self.session_id = route.session_id
        self.job_id = route.job_id
        self.traceparent = address.traceparent
        self.application = admission.application if admission is not None else None
        self.identity_source = admission.identity_source if admission is not None else None
        self.served_deployment = target.deployment if target is not None else None
        """What the upstream calls the deployment that was asked."""
        self.is_router = target is not None and target.is_router
        """Whether that chooses a model itself, for a fee."""


def record_of(
    shared: SharedFields,
    request: Request,
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
    reading = ending.reading or NO_MEASUREMENT
    answered = answer.fields if answer is not None else _NOTHING
    started, ended, first_byte = timings.received, timings.ended, timings.first_byte
    deployment = shared.deployment
    if deployment is None and shared.served_deployment is not None:
        deployment = request.model  # where the path names no deployment, this does
    region = answered.get(b"x-ms-region")
    request_id = answered.get(b"apim-request-id") or answered.get(b"x-request-id") or answered.get(b"request-id")
    served_model = None if reading.response_model else answered.get(b"x-ms-served-model")
    served_by = answered.get(b"x-ms-deployment-name")
    spilled_from = answered.get(b"x-ms-spillover-from-deployment")
    spilled_here = shared.served_deployment if _is_spillover(answered) else None
    if usage.input_tokens and shared.is_router:
        fee = {"routed_tokens": Quantity(usage.input_tokens, "derived")}
        usage = replace(usage, quantities=usage.quantities | fee)
    session_id, job_id = reading.session_id, reading.job_id
    if session_id is None and job_id is None:
        session_id, job_id = shared.session_id, shared.job_id
        if session_id is None and b"location" in answered:
            session_id = _session_at(answered[b"location"])
    # By place, in the order of the fields: names would cost as much as everything else here.
    return CallRecord(
        request.call_id,
        request.started_at,
        shared.replica,
        seq,
        # what was asked for
        shared.api,
        shared.operation,
        shared.method,
        shared.path,
        shared.api_version,
        deployment,
        request.model,
        request.service_tier,
        request.stream,
        # who asked
        shared.caller,
        shared.key_id,
        shared.subject,
        shared.tags,
        shared.client_address,
        shared.user_agent,
        # who answered
        shared.backend,
        region.decode("latin-1") if region else shared.region,
        shared.sku,
        served_by.decode("latin-1") if served_by else None,
        spilled_from.decode("latin-1") if spilled_from else spilled_here,
        reading.service_tier,
        served_model.decode("latin-1") if served_model else reading.response_model,
        request_id.decode("latin-1") if request_id else None,
        reading.response_id,
        session_id,
        job_id,
        attempts,
        # how it ended
        ending.status,
        ending.outcome,
        ending.error_code,
        reading.finish_reasons,
        reading.content_filter,
        # what it used
        usage,
        reading.tool_usage,
        reading.tool_calls,
        # what it cost: not known here
        None,
        None,
        None,
        None,
        # how long it took
        int((first_byte - started) * 1e6) / 1000 if first_byte else None,
        int((timings.first_token - started) * 1e6) / 1000 if timings.first_token else None,
        int((ended - first_byte) * 1e6) / 1000 if first_byte and request.stream else None,
        int((ended - started) * 1e6) / 1000,
        int(timings.own * 1e6) / 1000,
        reading.chunks,
        bytes_in,
        bytes_out,
        shared.traceparent,
        # contents
        _content(request.whole_body()) if keeps_content and not request.address.is_form else None,
        reading.content if keeps_content else None,
        trace,
        reading.job,
        shared.application,
        shared.identity_source,
        int((timings.whole - started) * 1e6) / 1000 if timings.whole else None,
    )


_NOTHING: Fields = {}
_NO_ONE = Identity("")


def made_session(request: Request) -> bool:
    """Whether a call that went well has made a session that passes by the gateway, or a key to one."""
    tail = request.address.route.tail
    return request.head.method == b"POST" and (tail in SESSION_MAKERS or SESSION_ACCEPTED.fullmatch(tail) is not None)


def can_be_heard(request: Request, answer: ResponseHead | None, reading: Measurement | None) -> bool:
    """Whether the books, where they listen, will know where to."""
    route = request.address.route
    made = reading.session_id if reading is not None else None
    located = _session_at(answer.fields[b"location"]) if answer is not None and b"location" in answer.fields else None
    return is_heard_at(route.tail) and (made or located or route.session_id) is not None


def _session_at(location: bytes) -> str | None:
    """The session that an answer has made, which its ``Location`` names."""
    found = _SESSION_PATH.search(location.decode("latin-1"))
    return found[1] if found is not None else None


_SESSION_PATH = re.compile(r"/(?:realtime/(?:calls|sessions)|live/sessions)/([^/?#]+)$")


def _is_spillover(answered: Fields) -> bool:
    return answered.get(b"x-ms-is-spilled-over", b"").lower() == b"true"


def _content(body: bytes) -> str | None:
    return body.decode("utf-8", "replace") if body else None
