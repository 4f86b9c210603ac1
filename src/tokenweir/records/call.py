"""The record of a call: the one noun that leaves the gateway, and what everything behind it is about.

Names follow OpenTelemetry's GenAI conventions and Azure where they have one. A new field is appended, with a default:
journals keep records as arrays, so the place of a field is its name there. Outside, a record is one flat object:
``flat.py``.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from .trace import Trace
from .usage import NO_USAGE, Usage

__all__ = ["CONTENTS", "CallRecord", "Outcome", "has_contents", "without_contents"]

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


class CallRecord(msgspec.Struct, frozen=True, array_like=True):
    """One call. Money is ``Decimal``, times are aware UTC, durations milliseconds.

    Encoded as it is, it is an array. What others read is its flat form.
    """

    # identity: unique for ever, and gap-free within one run of one relay
    call_id: str
    started_at: datetime
    replica: str = ""
    seq: int = 0

    # what was asked for
    api: str = "other"
    operation: str = ""
    method: str = ""
    path: str = ""
    api_version: str | None = None
    deployment: str | None = None
    requested_model: str | None = None
    requested_service_tier: str | None = None
    stream: bool = False

    # who asked
    caller: str | None = None
    key_id: str | None = None
    subject: str | None = None
    tags: dict[str, str] = {}
    client_address: str | None = None
    user_agent: str | None = None

    # who answered
    backend: str | None = None
    region: str | None = None
    sku: str | None = None
    served_deployment: str | None = None
    spillover_from: str | None = None
    service_tier: str | None = None
    response_model: str | None = None
    upstream_request_id: str | None = None
    response_id: str | None = None
    session_id: str | None = None
    job_id: str | None = None
    attempts: int = 0

    # how it ended
    status: int | None = None
    outcome: Outcome = "completed"
    error_code: str | None = None
    finish_reasons: list[str] = []
    content_filter: str | None = None

    # what it used
    usage: Usage = NO_USAGE
    tool_usage: dict[str, Any] | None = None
    tool_calls: dict[str, int] = {}

    # what it cost; None until a price is known
    cost: Decimal | None = None
    currency: str | None = None
    price_id: str | None = None
    cost_reason: str | None = None

    # how long it took
    first_byte_ms: float | None = None
    first_token_ms: float | None = None
    stream_ms: float | None = None
    latency_ms: float = 0.0
    gateway_ms: float = 0.0
    chunks: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    # how to find it elsewhere
    traceparent: str | None = None

    # contents, which are large and seldom there: bodies only where ``journal.content = "full"``
    request_body: str | None = None
    response_body: str | None = None
    trace: Trace | None = None


CONTENTS = ("request_body", "response_body", "trace")
"""The fields that stand apart wherever records are kept, so that reports never read past them."""


def has_contents(record: CallRecord) -> bool:
    return record.request_body is not None or record.response_body is not None or record.trace is not None


def without_contents(record: CallRecord) -> CallRecord:
    """The record without its contents; the very same object if it has none."""
    if not has_contents(record):
        return record
    return msgspec.structs.replace(record, request_body=None, response_body=None, trace=None)
