"""Events to an Application Insights resource, through the official exporter.

Nobody there drops a second event of the same call, so this sink remembers which events of a failed sending were
taken, and sends only the others again.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ....records import Clock, Duration, PathText, SystemClock
from ...base import DeliveryError, Denied, Throttled, Unavailable
from ..base import (
    EventFormat,
    Problems,
    RejectedEvents,
    SinkConnection,
    SinkSettings,
    by_size,
    resource_attributes,
    variable,
)
from .answer import IngestionAnswer
from .custom_event import InsightsEvent, fit_custom_event, insights_event, taken_at

if TYPE_CHECKING:
    from .exporting import Exporter, ExportResult

__all__ = ["CONNECTION_STRING_VARIABLE", "ApplicationInsightsConnection", "ApplicationInsightsSink"]

CONNECTION_STRING_VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
"""Where the connection string is by custom."""

# The service takes items of 64 KB. Its own clients send up to half a thousand of them at once.
_MAX_EVENT_SIZE = 64_000
_REQUEST_BYTES = 500_000

# Whoever sends through us sends a failed group again, or somebody else does and we never hear of it.
_MOST_REMEMBERED = 50_000


class ApplicationInsightsConnection(SinkConnection, frozen=True):
    """Kind ``application_insights``: a resource of Application Insights."""

    events = EventFormat((), fit_custom_event, insights_event)

    connection_string_env: str = CONNECTION_STRING_VARIABLE
    """The environment variable that holds the resource's connection string."""
    managed_identity: bool = False
    """Sign in with this machine's Entra identity; it needs the role Monitoring Metrics Publisher."""
    client_id: str | None = None
    """Which of several managed identities."""
    timeout: Duration = Duration(30)
    """How long the other side may take to confirm."""
    ca_bundle: PathText | None = None
    """A PEM file to trust instead of the system's."""

    def new_sink(self, settings: SinkSettings, environ: Mapping[str, str]) -> "ApplicationInsightsSink":
        return ApplicationInsightsSink(self, environ)

    def check(self) -> Problems:
        if self.client_id is not None and not self.managed_identity:
            yield "client_id", "belongs to `managed_identity`; without, the connection string alone lets us in"

    def packages(self) -> Iterator[tuple[str, str, str]]:
        yield "kind", "insights", "azure.monitor.opentelemetry.exporter"
        if self.managed_identity:
            yield "connection.managed_identity", "azure", "azure.identity"

    async def found_by(self, sink: "ApplicationInsightsSink", settings: SinkSettings) -> str:
        await sink.reach()
        return "somebody answers there; whether this resource takes events is seen when the first is sent"


class ApplicationInsightsSink:
    """See `Sink`."""

    max_event_size = _MAX_EVENT_SIZE

    def __init__(
        self, connection: ApplicationInsightsConnection, environ: Mapping[str, str], clock: Clock | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._settings = connection
        self._environ = environ
        self._variable = connection.connection_string_env
        # of sendings that failed and have not come again; hosts may send others in between
        self._taken: set[str] = set()
        # while it is open
        self._exporter: Exporter | None = None

    def __repr__(self) -> str:
        return f"<ApplicationInsightsSink to {self._host}>"

    async def open(self) -> None:
        """Reads the connection string anew. Whether the service is well is seen at the first request."""
        await self.close()
        self._exporter = await asyncio.to_thread(self._new_exporter)

    async def send(self, events: Sequence[InsightsEvent]) -> None:
        rejected = RejectedEvents()
        if len(self._taken) > _MOST_REMEMBERED:
            self._taken.clear()
        # Two events of one call in one sending are that call twice.
        waiting = {event.call_id: event for event in events if event.call_id not in self._taken}
        for group in by_size(list(waiting.values()), _REQUEST_BYTES):
            await self._deliver(group, rejected)
        self._taken.difference_update(event.call_id for event in events)
        rejected.raise_if_any()

    async def reach(self) -> None:
        """Whether somebody answers at that address, and whether this machine can sign in. Sends no event."""
        result = await self._ask(lambda exporter: exporter.reach())
        if result.answer is None:
            raise self._failure(result)

    async def close(self) -> None:
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            await asyncio.to_thread(exporter.close)

    def _new_exporter(self) -> "Exporter":
        try:
            from .exporting import Exporter
        except ImportError as error:
            raise Denied("this sink needs more packages: pip install 'tokenweir[insights]'") from error
        # It tells of each failure, and so do we; and of refused events it tells all that they say.
        logging.getLogger("azure").setLevel(logging.CRITICAL)
        text = variable(self._environ, self._variable)
        connection = self._settings
        try:
            return Exporter(
                text,
                resource_attributes(self._environ),
                timeout=connection.timeout,
                ca_bundle=connection.ca_bundle,
                signs_in=connection.managed_identity,
                client_id=connection.client_id,
            )
        except ValueError as error:
            said = f"the environment variable {self._variable} holds no connection string of Application Insights"
            raise Denied(f"{said}; copy it whole from the portal: InstrumentationKey=…;IngestionEndpoint=…") from error

    async def _deliver(self, events: Sequence[InsightsEvent], rejected: RejectedEvents) -> None:
        """In one request; where the service does not want several and does not say which, by halves."""
        now = self._clock.now()
        sent = [taken_at(now, event.custom_event) for event in events]
        result = await self._ask(lambda exporter: exporter.export(sent))
        if (answer := result.answer) is None:
            raise self._failure(result)
        if answer.takes_events or (answer.is_about_events and answer.blames_each_of(len(events))):
            self._sort(answer, events, rejected)
        elif not answer.is_about_events:
            raise answer.meaning(self._host)
        elif len(events) == 1:
            rejected.add(f"{self._host} answers {answer.status}", events)
        else:
            half = len(events) // 2
            await self._deliver(events[:half], rejected)
            await self._deliver(events[half:], rejected)

    def _sort(self, answer: IngestionAnswer, events: Sequence[InsightsEvent], rejected: RejectedEvents) -> None:
        """Each event by what the answer says of it: taken, refused, or to be sent again."""
        troubles = {one.index: one for one in answer.errors}
        # An error without an index may be of any event that no other names.
        of_any = next((one for one in answer.errors if one.index not in range(len(events))), None)
        again: list[InsightsEvent] = []
        for index, event in enumerate(events):
            trouble = troubles.get(index, of_any)
            if trouble is None:
                self._taken.add(event.call_id)
            elif trouble.may_pass:
                again.append(event)
            else:
                rejected.add(f"an event {trouble.text}", [event])
        if again:
            said = f"{self._host} takes {len(again)} of {len(events)} events another time"
            raise Throttled(said, answer.retry_after)

    async def _ask(self, question: "Callable[[Exporter], ExportResult]") -> "ExportResult":
        if self._exporter is None:
            raise Unavailable("the sink is not open")
        return await asyncio.to_thread(question, self._exporter)

    @property
    def _host(self) -> str:
        return (self._exporter.host if self._exporter is not None else "") or "Application Insights"

    def _failure(self, result: "ExportResult") -> DeliveryError:
        """Of a request to which nobody answered."""
        if result.is_sign_in:
            return Denied(
                "this machine has no identity to sign in with: give it a managed identity, name it as `client_id`, "
                "or leave out `managed_identity`"
            )
        if result.is_certificate:
            return Denied(f"the certificate of {self._host} is not trusted: name its authority as `ca_bundle`")
        reason = type(result.error).__name__ if result.error is not None else "nothing was sent"
        return Unavailable(f"{self._host} cannot be reached ({reason})")
