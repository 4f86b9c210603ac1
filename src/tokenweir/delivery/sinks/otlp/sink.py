"""The spans of calls as events, and what sends them to a collector. Requests are made of OpenTelemetry's own messages,
and sent by us: its exporter tries again by itself and drops what it cannot send, which would hide outages from the
delivery loop."""

import asyncio
import gzip
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from ....records import CallRecord
from ...base import Denied, Rejected
from ...dead_letters import DeadLetter
from ..base import (
    EventFormat,
    Problems,
    RejectedEvents,
    SinkSettings,
    by_size,
    event_properties,
    resource_attributes,
    variable,
    written_pairs,
)
from ..http import HttpConnection, HttpReceiver
from .attributes import Servers
from .calls import read_traceparent, spans_of
from .span import ScopeSpans, Span

if TYPE_CHECKING:
    from httpx import Response

__all__ = ["OtlpConnection", "OtlpSink", "SpansEvent", "fit_spans", "spans_event"]

# What surrounds the spans of one call in a request, at most.
_AROUND_SPANS = 16

_encode = msgspec.json.Encoder().encode


class SpansEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A `SinkEvent` that is all spans of one call."""

    call_id: str
    properties: dict[str, str]
    encoded: bytes
    """See `encode_spans`."""
    readable: Callable[[], str]
    """OTLP's JSON encoding, so that it can be sent by hand as it is; made only where somebody reads it."""

    @property
    def size(self) -> int:
        return len(self.encoded) + _AROUND_SPANS

    def letter(self) -> dict[str, Any]:
        return {"event": self.readable(), "event_base64": self.encoded}


def spans_event(letter: DeadLetter) -> SpansEvent:
    """The event of a letter, to be sent again. ValueError if it holds no spans, as those of older versions."""
    if letter.event_base64 is None:
        raise ValueError("it holds its spans as JSON only: POST that to the collector's /v1/traces by hand")
    return SpansEvent(
        call_id=letter.call_id,
        properties=letter.properties,
        encoded=letter.event_base64,
        readable=lambda: letter.event,
    )


def fit_spans(record: CallRecord, settings: SinkSettings, limit: int) -> list[SpansEvent]:
    """One event, none where the call's trace is not recorded, and one without content where that would be too large.

    Raises: `Rejected`, holding the event, where the spans are larger than ``limit`` even without content.
    """
    context = read_traceparent(record.traceparent)
    if context is not None and not context.is_sampled and settings.sampler == "parentbased_always_on":
        return []
    assert isinstance(settings.connection, OtlpConnection)
    servers = settings.connection.known_servers
    whole = _event(record, servers, with_content=settings.content)
    if whole.size <= limit:
        return [whole]
    bare = _event(record, servers, with_content=False, is_shed=settings.content)
    if bare.size <= limit:
        return [bare]
    raise Rejected(f"spans of {bare.size} bytes, and the sink takes {limit}", [bare])


def _event(record: CallRecord, servers: Servers, *, with_content: bool, is_shed: bool = False) -> SpansEvent:
    from .protobuf import encode_spans  # comes with an extra of ours, which the open sink has found

    def spans() -> list[Span]:
        return spans_of(record, with_content=with_content, is_shed=is_shed, servers=servers)

    return SpansEvent(
        call_id=record.call_id,
        properties=event_properties(record, "spans"),
        encoded=encode_spans(spans()),
        readable=lambda: _encode(ScopeSpans(spans())).decode(errors="replace"),
    )


_log = logging.getLogger(__name__)

_TYPE = "application/x-protobuf"
# Spans are mostly names that repeat, so the fastest level already leaves little of them.
_GZIP_LEVEL = 1

_MEANINGS = {
    401: "does not accept us (401): check `headers_env`",
    403: "does not let us in (403): check `headers_env`, and the networks that it lets in",
    404: "has nothing at this path (404): correct `url`, whose path is usually /v1/traces",
    405: "takes no POST at this path (405): correct `url`, whose path is usually /v1/traces",
    415: "takes no spans in protobuf (415): give it a collector of OpenTelemetry in front",
}


class OtlpConnection(HttpConnection, frozen=True):
    """Kind ``otlp``: where spans are POSTed to, usually ``http://collector:4318/v1/traces``."""

    events = EventFormat(("content", "sampler"), fit_spans, spans_event)

    headers_env: str | None = None
    """The environment variable that holds headers to send, ``name=value,other=value``, percent-encoded."""
    gateway: str | None = None
    """The gateway's address as callers know it, ``https://gateway.example``: `server.address`, `server.port` and
    `url.scheme` of calls. Default: `server.data`, where that is an address that can be called."""
    servers: dict[str, str] = {}
    """The same of upstreams, by their names: ``{ sweden = "https://…" }``. Those of ``[[upstreams]]`` are known."""

    @property
    def known_servers(self) -> Servers:
        return Servers(self.gateway, self.servers)

    def new_sink(self, settings: SinkSettings, environ: Mapping[str, str]) -> "OtlpSink":
        return OtlpSink(self, environ, may_quote=not settings.content)

    def check(self) -> Problems:
        wrong = [*HttpConnection.check(self)]
        yield from wrong
        if not wrong and self.url is not None and urlsplit(self.url).path in ("", "/"):
            yield "url", "has no path; spans usually go to /v1/traces, on port 4318 of a collector"

    def packages(self) -> Iterator[tuple[str, str, str]]:
        yield "kind", "otel", "httpx"
        yield "kind", "otel", "opentelemetry.proto"

    async def found_by(self, sink: "OtlpSink", settings: SinkSettings) -> str:
        await sink.reach()
        return "a request without spans is answered as it should be"


class OtlpSink:
    """See `Sink`. Requests go one after the other."""

    def __init__(self, connection: OtlpConnection, environ: Mapping[str, str], *, may_quote: bool) -> None:
        """``may_quote``: whether what the receiver says about spans may be repeated; not where they hold prompts."""
        self._settings = connection
        self._environ = environ
        self._may_quote = may_quote
        self._receiver = HttpReceiver(connection, environ, "otel", _MEANINGS)
        # while it is open
        self._headers: dict[str, str] = {}
        self._resource: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<OtlpSink to {self._receiver.host or '?'}>"

    @property
    def max_event_size(self) -> int:
        return self._settings.max_event_size

    async def open(self) -> None:
        """Reads secrets and certificates anew. Whether the receiver is well is seen at the first request."""
        await self._receiver.open()
        try:
            from .protobuf import export_request  # noqa: F401
        except ImportError as error:
            raise Denied("this sink needs more packages: pip install 'tokenweir[otel]'") from error
        self._resource = resource_attributes(self._environ)
        self._headers = {"content-type": _TYPE, "content-encoding": "gzip"} | self._own_headers()

    async def send(self, events: Sequence[SpansEvent]) -> None:
        rejected = RejectedEvents()

        async def ask(some: Sequence[SpansEvent]) -> "Response":
            response = await self._post(some)
            if response.is_success:
                self._read_partial_success(response, some, rejected)
            return response

        for group in by_size(events, self._settings.max_event_size):
            await self._receiver.deliver(group, ask, rejected)
        rejected.raise_if_any()

    async def reach(self) -> None:
        """Posts a request without spans, which a receiver answers as any other: whether it would take ours."""
        response = await self._post([])
        if not response.is_success:
            raise self._receiver.meaning(response)

    async def close(self) -> None:
        await self._receiver.close()

    async def _post(self, events: Sequence[SpansEvent]) -> "Response":
        body = await asyncio.to_thread(_request_body, events, self._resource)
        return await self._receiver.request("POST", body, self._headers)

    def _read_partial_success(
        self, response: "Response", events: Sequence[SpansEvent], rejected: RejectedEvents
    ) -> None:
        """A receiver that takes only some spans says how many it does not, and not which; and the protocol forbids to
        send them again. So the events of the whole request are refused with that reason."""
        from .protobuf import read_response

        if _TYPE not in response.headers.get("content-type", ""):
            return
        partial = read_response(response.content)
        said = f": {partial.message[:200]}" if self._may_quote and partial.message else ""
        if partial.rejected_spans > 0 and events:
            reason = f"{self._receiver.host} does not take {partial.rejected_spans} spans of the {len(events)} calls"
            rejected.add(f"{reason} in this request, and does not say which{said}", events)
        elif said:
            _log.warning("%s takes the spans, and says%s", self._receiver.host, said)

    def _own_headers(self) -> dict[str, str]:
        if self._settings.headers_env is None:
            return {}
        headers = {
            name.lower(): value for name, value in written_pairs(variable(self._environ, self._settings.headers_env))
        }
        text = "".join([*headers, *headers.values()])
        if not (text and text.isascii() and text.isprintable()):
            said = f"the variable {self._settings.headers_env} holds no headers"
            raise Denied(f"{said}; write them like name=value,other=value, with %20 for a space")
        return headers


def _request_body(events: Sequence[SpansEvent], resource: Mapping[str, str]) -> bytes:
    from .protobuf import export_request

    return gzip.compress(export_request((event.encoded for event in events), resource), _GZIP_LEVEL, mtime=0)
