"""The records of a WebSocket: one for each response, and each transcription, as soon as its usage is known."""

from collections.abc import Callable
from datetime import timedelta

from msgspec.structs import replace

from ..deployments import Target
from ..errors import JournalError, Refusal
from ..metering import UsedOnSocket
from ..records import NO_USAGE, SESSION, CallRecord, Outcome, Usage, derived_call_id, new_call_id
from ..upstream import Upstream
from ..wire import ResponseHead
from .accept import read_body
from .handshake import observes
from .record_builder import SharedFields, completed_by, record_of, why_not_reported
from .request import Ending, Request
from .services import Services
from .subjects import with_subject
from .timings import Timings

__all__ = ["SocketRecords", "socket_record"]

_SWITCHED = 101


class SocketRecords:
    """Makes them, and implements ``SocketMeterOwner``."""

    def __init__(
        self,
        services: Services,
        request: Request,
        shared: SharedFields,
        target: Target | None,
        upstream: Upstream | None,
        answer: ResponseHead,
        on_loss: Callable[[], None],
        on_record: Callable[[CallRecord], None],
    ) -> None:
        """``on_loss``: told where the journal has not taken one; ``on_record``: shown each."""
        self._services = services
        self._request = request
        self._shared = shared
        self._target = target
        self._upstream = upstream
        self._answer = answer
        self._on_loss = on_loss
        self._on_record = on_record
        self.waiting = 0
        """Strict durability: records that are not on disk yet."""
        self._waiting_since = self._failing_since = 0.0
        self.when_durable: Callable[[], None] | None = None
        """Told when none is left that waits."""
        self._cut: tuple[Outcome, str | None] = ("client_gone", None)

    def end_open(self, outcome: Outcome, error_code: str | None, *, left_by_client: bool) -> None:
        """The socket has ended: what is still told was under way."""
        if outcome == "completed":
            outcome = "client_gone" if left_by_client else "upstream_broken"
        self._cut = outcome, error_code

    def used(self, used: UsedOnSocket) -> None:
        services, measurement = self._services, used.measurement
        if services.is_strict:
            self.waiting += 1
            self._waiting_since = services.clock.monotonic()
        outcome: Outcome = "upstream_error" if measurement.error_code is not None else "completed"
        ending = Ending(outcome, used.status or _SWITCHED, measurement.error_code, measurement)
        if not used.has_ended:
            ending.outcome, ending.error_code = self._cut
        request = self._asked(used)
        timings = Timings(used.began)
        timings.first_token = timings.first_byte = used.first_output
        timings.ended = services.clock.monotonic()
        usage = measurement.usage
        is_counted = request.address.surface.estimate is not None
        if usage is None and is_counted and request.body and used.status is None:
            services.estimator.estimate(
                request,
                ending,
                self._target,
                self._upstream,
                lambda counted: self._append(used, request, ending, timings, self._estimate(ending, counted)),
            )
        elif usage is None and not used.has_ended:
            self._append(used, request, ending, timings, replace(NO_USAGE, reason=why_not_reported(ending)))
        elif usage is None and used.status is None and measurement.error_code is None:
            self._append(used, request, ending, timings, replace(NO_USAGE, reason=measurement.reason or "withheld"))
        else:
            self._append(used, request, ending, timings, usage or NO_USAGE)

    def _is_durable(self) -> None:
        self.waiting -= 1
        if not self.waiting and self.when_durable is not None:
            self.when_durable()

    def cannot_be_written(self, now: float, limit: float) -> bool:
        """Whether the journal has taken nothing for more than ``limit`` seconds. To be asked again and again."""
        if self.waiting:
            return now - self._waiting_since > limit
        if self._services.journal.accepts_calls:
            self._failing_since = 0.0
        elif not self._failing_since:
            self._failing_since = now
        return self._failing_since > 0 and now - self._failing_since > limit

    def _asked(self, used: UsedOnSocket) -> Request:
        """The request that a response answers, as far as it was read."""
        whole, clock = self._request, self._services.clock
        began_ago = max(0.0, clock.monotonic() - used.began)
        started_at = clock.now() - timedelta(seconds=began_ago)
        request = Request(new_call_id(), whole.head, whole.address, started_at, used.began)
        request.model, request.stream = whole.model, True
        if used.request:
            try:
                read_body(request, used.request)
            except Refusal:  # what the upstream makes of it, it says itself
                request.body = used.request
            request.stream = True
        return request

    def _estimate(self, ending: Ending, counted: Usage) -> Usage:
        told = ending.reading.usage if ending.reading is not None else None
        return replace(completed_by(told, counted), reason=why_not_reported(ending))

    def _append(self, used: UsedOnSocket, request: Request, ending: Ending, timings: Timings, usage: Usage) -> None:
        services = self._services
        keeps_content = services.keeps_content
        record = record_of(
            self._shared,
            request,
            self._answer,
            ending,
            usage,
            timings,
            seq=services.journal.next_seq(),
            attempts=1,
            bytes_in=0,
            bytes_out=0,
            keeps_content=keeps_content,
            trace=None,
        )
        record = replace(
            record,
            operation=used.operation or record.operation,
            session_id=record.session_id or self._request.call_id,
            deployment=record.deployment or request.model,
        )
        if self._upstream is not None and record.response_id is not None and observes(self._request.address):
            endpoint = self._upstream.endpoint
            heard = [record.operation, (endpoint.authority + endpoint.base).decode(), record.response_id]
            record = replace(record, call_id=derived_call_id(heard))  # as everybody has it who listens
        if services.subjects is not None:
            record = with_subject(record, request, services.subjects)
        self._on_record(record)
        try:
            services.journal.append(record, self._is_durable if services.is_strict else None)
        except JournalError:  # logged and counted where it was lost
            self._on_loss()


def socket_record(record: CallRecord) -> CallRecord:
    """The record of the WebSocket itself, which is one more beside those of its responses."""
    is_metered = record.api != "other"
    return replace(
        record,
        operation=SESSION if is_metered else record.operation,
        session_id=record.session_id or record.call_id,
        deployment=record.deployment or record.requested_model,
    )
