"""The record of a call: the one noun that leaves the gateway, and what everything behind it is about.

Names follow OpenTelemetry's GenAI conventions and Azure where they have one. A new field is appended, to `CallRecord`
or to `Usage`, with a default: journals keep both as arrays, so the place of a field is its name there. It is marked
with the step of the ledgers' migrations that adds its column (`Since`, with the next number). What stands under it is
what the reference and the admin API say of it. Outside, a record is one flat object: ``columns.py``.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from .charge import ChargeLine
from .quantities import Quantity
from .trace import Trace

__all__ = [
    "CONTENTS",
    "DISTINCT",
    "JOB",
    "NOT_CALLS",
    "NO_USAGE",
    "SESSION",
    "SUMMED",
    "CallRecord",
    "Outcome",
    "Since",
    "Usage",
    "UsageReason",
    "UsageSource",
    "has_contents",
    "is_call",
    "without_contents",
]


class Since(NamedTuple):
    """Marks a field whose column is not one of the ledgers' first."""

    step: int
    """Of their migrations."""


DISTINCT: Final = "distinct"
"""Marks a text that nearly every record has another of."""
SUMMED: Final = "summed"
"""Marks a count that reports add up."""

_Distinct = Annotated[str | None, DISTINCT]
_Summed = Annotated[int, SUMMED]
_Count5 = Annotated[int, Since(5)]

Outcome = Literal[
    "completed",
    "refused",
    "upstream_error",
    "upstream_broken",
    "client_gone",
    "timed_out",
    "aborted",
]
"""How a call ended.

completed        the upstream's whole answer was passed on (whatever its usage says)
refused          answered by us: bad key, bad request, unknown deployment, journal unavailable
upstream_error   the upstream answered with an error status, could not be reached, or sent an error frame
upstream_broken  the upstream went away in the middle of its answer
client_gone      the client went away before the end
timed_out        the upstream was silent for too long
aborted          we ended it: shutdown, or the record could not be made durable
"""


UsageSource = Literal["reported", "estimated", "none"]
"""``reported``: the upstream said so. ``estimated``: we counted. ``none``: nothing is known or due."""


UsageReason = Literal[
    "unread_encoding", "unreadable", "cut", "too_large", "withheld", "later", "given_up", "elsewhere", "unmetered"
]
"""Why the usage of a call is not ``reported``.

unread_encoding  the answer was compressed in a way that is not read
unreadable       the answer was nothing that its API says
cut              the answer ended before its usage came
too_large        the part of the answer that has the usage was larger than what is read, or what logged it left it out
withheld         the answer was whole, and said no usage, nothing but zeros, or not that of all it wrote
later            the call has started a job; what that uses is told by a record of its own
given_up         of a job's own record: its end could not be learnt
elsewhere        the call has made a session, or a key to one, and what that uses passes by this gateway
unmetered        something was asked for that may be billed, and nobody here knows how to read what it used
"""


class Usage(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Token counts. Cached, cache-written, audio and image tokens are parts of input; reasoning, audio, image and
    predicted tokens are parts of output; cached audio is part of cached and of audio, and so are images."""

    source: UsageSource = "none"
    """`reported` by the upstream, `estimated` by us, or `none`."""
    reason: Annotated[UsageReason | None, Since(5)] = None
    """Why usage is not `reported`: `unread_encoding` (a compression that is not read), `unreadable` (not what its API
    says, or counts that are none), `cut` (the answer ended, or its client left, before its usage), `too_large` (a
    usage of more than 64 KB), `withheld` (a whole answer without usage, with zeros only, or without the usage of
    all it wrote), `later` (the call has started a [job](../guides/jobs.md), which has a record of its own),
    `given_up` (a job whose end could not be learnt), `elsewhere` (the call has made a [session](../guides/realtime.md)
    that passes by this gateway), `unmetered` (relayed to a path that may be billed, and that is not understood here:
    `quantities` has its `unmetered_bytes`); empty where usage is reported, or none was due."""
    input_tokens: _Summed = 0
    """The prompt."""
    cached_input_tokens: _Summed = 0
    """The part of the prompt that was cached."""
    cache_write_tokens: _Count5 = 0
    """The part of the prompt that was written to the cache, for which some models charge more."""
    cached_audio_tokens: _Count5 = 0
    """A part of `cached_input_tokens`."""
    cached_image_tokens: _Count5 = 0
    """A part of `cached_input_tokens`."""
    output_tokens: _Summed = 0
    """The answer."""
    reasoning_tokens: _Summed = 0
    """The part of the answer that was hidden reasoning."""
    input_audio_tokens: int = 0
    """A part of `input_tokens`."""
    output_audio_tokens: int = 0
    """A part of `output_tokens`."""
    input_image_tokens: _Count5 = 0
    """A part of `input_tokens`."""
    output_image_tokens: _Count5 = 0
    """A part of `output_tokens`."""
    accepted_prediction_tokens: int = 0
    """A part of `output_tokens`."""
    rejected_prediction_tokens: int = 0
    """A part of `output_tokens`, which is billed."""
    total_tokens: _Summed = 0
    """As reported, else input + output."""
    raw: dict[str, Any] | None = None
    """The upstream's own object, whole, so that a later reader can find what we did not know."""
    quantities: Annotated[dict[str, Quantity], Since(9)] = {}
    """Everything else that was used, by [name](quantities.md): `{"web_searches": {"amount": 3, "source": "counted"}}`.
    An amount is a whole number or decimal text; its source is `reported`, `derived`, `counted` or `unknown`."""


NO_USAGE = Usage()


class CallRecord(msgspec.Struct, frozen=True, array_like=True):
    """One call. Tokens are whole numbers, money is exact, times are UTC, durations milliseconds.

    Encoded as it is, it is an array. What others read is its flat form.
    ."""

    # identity
    call_id: Annotated[str, DISTINCT]
    """UUIDv7 of the call; every answer carries it as `x-tokenweir-call-id`."""
    started_at: datetime
    """When the request's head had been read."""
    replica: str = ""
    """One run of one relay."""
    seq: int = 0
    """The record's number in that run: a gap is a lost record."""

    # what was asked for
    api: str = "other"
    """Which [surface](surfaces.md) of the API; `other` is what is not metered."""
    operation: str = ""
    """OpenTelemetry's `gen_ai.operation.name` (`chat`, `text_completion`, `embeddings`), else the first words of the
    path. Records that are no calls have `session` (a WebSocket, whose responses have records of their own) or `job`
    (what a [job](../guides/jobs.md) used after the call that made it)."""
    method: str = ""
    """As sent."""
    path: str = ""
    """As sent, without the query."""
    api_version: str | None = None
    """As sent upstream: the caller's, else the one that was added for it."""
    deployment: str | None = None
    """The name the caller asked for, by path or by `model`."""
    requested_model: str | None = None
    """The body's `model`."""
    requested_service_tier: Annotated[str | None, Since(5)] = None
    """The body's `service_tier`."""
    stream: bool = False
    """Whether a stream was asked for."""

    # who asked
    caller: str | None = None
    """Whose key it was; `anonymous` where no keys are configured."""
    key_id: str | None = None
    """Which of the caller's keys."""
    subject: _Distinct = None
    """The person or service that a platform in front says has called (`server.platform_identity`), else the user whose
    access token of Entra came (`oid`), else what the client said (`server.subject_from`); `identity_source` says
    which."""
    tags: dict[str, str] = {}
    """The caller's, as configured."""
    client_address: _Distinct = None
    """Where from."""
    user_agent: str | None = None
    """With what."""

    # who answered
    backend: str | None = None
    """The upstream that answered, or was tried last."""
    region: str | None = None
    """Its `x-ms-region`, else the upstream's configured region."""
    sku: str | None = None
    """The target's configured sku."""
    served_deployment: Annotated[str | None, Since(5)] = None
    """The deployment that Azure says served the call (`x-ms-deployment-name`)."""
    spillover_from: str | None = None
    """The deployment from which Azure spilled this call over (`x-ms-spillover-from-deployment`)."""
    service_tier: Annotated[str | None, Since(5)] = None
    """The tier that served the call, as the answer says: `default`, `priority`, `flex` and so on."""
    response_model: str | None = None
    """The model the answer names."""
    upstream_request_id: _Distinct = None
    """`apim-request-id`, else `x-request-id`."""
    response_id: _Distinct = None
    """The answer's `id`."""
    session_id: Annotated[str | None, DISTINCT, Since(5)] = None
    """The realtime session that the path names or that the call has opened."""
    job_id: Annotated[str | None, DISTINCT, Since(5)] = None
    """The [job](../guides/jobs.md) (a response in the background, a batch, a fine-tuning, a video, a vector store) that
    the path names or that the call has made."""
    attempts: int = 0
    """Requests sent upstream for this call."""

    # how it ended
    status: int | None = None
    """The HTTP status the client saw; absent where it left before."""
    outcome: Outcome = "completed"
    """`completed`, `refused` (by us), `upstream_error` (an error answer, an error frame, unreachable),
    `upstream_broken` (broke off), `client_gone`, `timed_out`, `aborted` (by us: shutdown)."""
    error_code: str | None = None
    """Ours, or the one in the upstream's error."""
    finish_reasons: list[str] = []
    """As the answer says (of the Responses API: [below](#the-responses-api))."""
    content_filter: _Distinct = None
    """The categories that were filtered, joined by commas."""

    # what it used
    usage: Usage = NO_USAGE
    tool_usage: Annotated[dict[str, Any] | None, Since(5)] = None
    """What the answer says its tools used, whole."""
    tool_calls: Annotated[dict[str, int], Since(5)] = {}
    """How many calls of the upstream's own tools the answer has, by type: `{"web_search_call": 3}`."""

    # what it cost
    cost: Decimal | None = None
    """What the call cost by the [price list](../guides/prices.md): the sum of those of its `charges` that have a price.
    Where there is a `cost_reason` too it is a floor, because others have none; absent where none has."""
    currency: str | None = None
    """Of the cost."""
    price_id: str | None = None
    """Which price says so; of several, that of the first line in `charges`."""
    cost_reason: Annotated[str | None, Since(6)] = None
    """Why a call that used something has no cost, or has one that is not all of it:
    [the words](../guides/prices.md#what-has-no-price)."""

    # how long it took
    first_byte_ms: float | None = None
    """From start to the first byte of the answer's body; on Azure often only the prompt filter's result."""
    first_token_ms: float | None = None
    """From start to the first piece of a stream that carries model output."""
    stream_ms: float | None = None
    """From the first byte of a stream to its end."""
    latency_ms: float = 0.0
    """From start to end."""
    gateway_ms: float = 0.0
    """From the request's last byte until it was sent upstream, less waiting for connections and credentials."""
    chunks: int = 0
    """Events with data in a stream, 1 for a whole body."""
    bytes_in: int = 0
    """Body bytes from the client."""
    bytes_out: int = 0
    """Body bytes from the upstream."""

    # how to find it elsewhere
    traceparent: _Distinct = None
    """The caller's W3C trace context."""

    # contents, which are large and seldom there
    request_body: str | None = None
    """Only with `journal.content = "full"`; in the ledger, contents are a table of their own."""
    response_body: str | None = None
    """As `request_body`."""
    trace: Trace | None = None
    """Of calls that failed, were slow, were sampled or asked for it: [what happened when](../guides/traces.md)."""
    job: Annotated[dict[str, Any] | None, Since(8)] = None
    """What the answer says of a [job](../guides/jobs.md): its status, times and usage, as the upstream says them."""
    application: Annotated[str | None, Since(10)] = None
    """The Entra application that the caller's access token names (`azp`, `appid`)."""
    identity_source: Annotated[str | None, Since(10)] = None
    """Who says so, and who the `subject` is: `token`, which was decoded and **not validated**; `validated_token`, which
    this gateway (`[entra]`) or API Management has validated; `platform`, which has authenticated in front
    (`server.platform_identity`); `client`, whose word is all there is (`server.subject_from`)."""
    body_ms: Annotated[float | None, Since(11)] = None
    """From start until the request's body had come; absent where it never did."""
    charges: Annotated[list[ChargeLine], Since(13)] = []
    """What the call cost, line by line: `meter`, `quantity` and `unit`, `rate` of `per` units, `amount`, `currency` and
    `price_id`; without `amount` and with a `reason` where no price is known. Empty where nothing was used, where no
    prices are configured, and in records of older versions."""


CONTENTS = ("request_body", "response_body", "trace")
"""The fields that stand apart wherever records are kept, so that reports never read past them."""


SESSION: Final = "session"
"""The ``operation`` of a WebSocket's own record."""
JOB: Final = "job"
"""The ``operation`` of a job's own record."""
NOT_CALLS: Final = (SESSION, JOB)
"""The operations of records that are no calls: what they used counts, they do not, and neither does how long they
took."""


def is_call(record: CallRecord) -> bool:
    """Whether it is counted among the calls."""
    return record.operation not in NOT_CALLS


def has_contents(record: CallRecord) -> bool:
    return record.request_body is not None or record.response_body is not None or record.trace is not None


def without_contents(record: CallRecord) -> CallRecord:
    """The record without its contents; the very same object if it has none."""
    if not has_contents(record):
        return record
    return msgspec.structs.replace(record, request_body=None, response_body=None, trace=None)
