"""A sink that is an Application Insights resource: one custom event a call, through the official exporter.

Nobody there drops a second event of the same call, so this sink remembers which events of a failed sending were
taken, and sends only the others again.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ...errors import Denied, Rejected, SinkError, Throttled, Unavailable
from ..event import Event
from ..grouping import by_size
from ..resource import resource_attributes
from ..settings import ConnectionSettings
from . import Answer

if TYPE_CHECKING:
    from .exporting import Exporter, Heard

__all__ = ["CONNECTION_STRING_VARIABLE", "ApplicationInsightsSink"]

CONNECTION_STRING_VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
"""Where the connection string is by custom."""

# The service takes items of 64 KB. Its own clients send up to half a thousand of them at once.
_MAX_EVENT_SIZE = 64_000
_REQUEST_BYTES = 500_000

# Whoever sends through us sends a failed group again, or somebody else does and we never hear of it.
_MOST_REMEMBERED = 50_000

Refused = dict[str, list[Event]]


class ApplicationInsightsSink:
    """See `Sink`. Events hold custom events, as ``insights/`` makes them."""

    max_event_size = _MAX_EVENT_SIZE

    def __init__(self, connection: ConnectionSettings, environ: Mapping[str, str]) -> None:
        self._settings = connection
        self._environ = environ
        self._variable = connection.connection_string_env or CONNECTION_STRING_VARIABLE
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

    async def send(self, events: Sequence[Event]) -> None:
        refused: Refused = {}
        if len(self._taken) > _MOST_REMEMBERED:
            self._taken.clear()
        # Two events of one call in one sending are that call twice.
        waiting = {event.call_id: event for event in events if event.call_id not in self._taken}
        for group in by_size(list(waiting.values()), _REQUEST_BYTES):
            await self._deliver(group, refused)
        self._taken.difference_update(event.call_id for event in events)
        if refused:
            raise Rejected(" and ".join(refused), [event for some in refused.values() for event in some])

    async def reach(self) -> None:
        """Whether somebody answers at that address, and whether this machine can sign in. Sends no event."""
        heard = await self._ask(lambda exporter: exporter.reach())
        if heard.answer is None:
            raise self._silence(heard)

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
        text = self._environ.get(self._variable, "").strip()
        if not text:
            raise Denied(f"the environment variable {self._variable} is not set")
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

    async def _deliver(self, events: Sequence[Event], refused: Refused) -> None:
        """In one request; where the service does not want several and does not say which, by halves."""
        heard = await self._ask(lambda exporter: exporter.export(events))
        if (answer := heard.answer) is None:
            raise self._silence(heard)
        if answer.takes_events or (answer.is_about_events and answer.blames_each_of(len(events))):
            self._sort(answer, events, refused)
        elif not answer.is_about_events:
            raise answer.meaning(self._host)
        elif len(events) == 1:
            refused.setdefault(f"{self._host} answers {answer.status}", []).extend(events)
        else:
            half = len(events) // 2
            await self._deliver(events[:half], refused)
            await self._deliver(events[half:], refused)

    def _sort(self, answer: Answer, events: Sequence[Event], refused: Refused) -> None:
        """Each event by what the answer says of it: taken, refused, or to be sent again."""
        troubles = {one.index: one for one in answer.errors}
        # An error without an index may be of any event that no other names.
        of_any = next((one for one in answer.errors if one.index not in range(len(events))), None)
        again: list[Event] = []
        for index, event in enumerate(events):
            trouble = troubles.get(index, of_any)
            if trouble is None:
                self._taken.add(event.call_id)
            elif trouble.may_pass:
                again.append(event)
            else:
                refused.setdefault(f"an event {trouble.text}", []).append(event)
        if again:
            said = f"{self._host} takes {len(again)} of {len(events)} events another time"
            raise Throttled(said, answer.retry_after)

    async def _ask(self, question: "Callable[[Exporter], Heard]") -> "Heard":
        if self._exporter is None:
            raise Unavailable("the sink is not open")
        return await asyncio.to_thread(question, self._exporter)

    @property
    def _host(self) -> str:
        return (self._exporter.host if self._exporter is not None else "") or "Application Insights"

    def _silence(self, heard: "Heard") -> SinkError:
        """Of a request to which nobody answered."""
        if heard.is_sign_in:
            return Denied(
                "this machine has no identity to sign in with: give it a managed identity, name it as `client_id`, "
                "or leave out `managed_identity`"
            )
        if heard.is_certificate:
            return Denied(f"the certificate of {self._host} is not trusted: name its authority as `ca_bundle`")
        reason = type(heard.error).__name__ if heard.error is not None else "nothing was sent"
        return Unavailable(f"{self._host} cannot be reached ({reason})")
