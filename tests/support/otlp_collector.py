"""A real HTTP server that takes spans as a collector does and reads them with OpenTelemetry's own messages."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from support.servers import read_head, serving

__all__ = ["Answer", "Collector", "Export", "attributes_of", "collecting", "running_collector"]

PATH = "/v1/traces"


class Export(msgspec.Struct, frozen=True):
    """One request, read."""

    headers: dict[str, str]
    size: int
    """Bytes of the body as it travelled."""
    message: ExportTraceServiceRequest

    @property
    def spans(self) -> list[Span]:
        return [span for one in self.message.resource_spans for scope in one.scope_spans for span in scope.spans]

    @property
    def resource(self) -> dict[str, Any]:
        return attributes_of(self.message.resource_spans[0].resource.attributes)

    @property
    def call_ids(self) -> list[str]:
        calls = [span for span in self.spans if span.kind == Span.SpanKind.SPAN_KIND_SERVER]
        return [attributes_of(span.attributes)["tokenweir.call_id"] for span in calls]


class Answer(msgspec.Struct, frozen=True):
    """A status line's end, perhaps with headers behind it; or a partial success; or no answer at all."""

    status: str = "200 OK"
    rejected_spans: int = 0
    message: str = ""
    never_comes: bool = False

    def bytes(self) -> bytes:
        partial = ExportTracePartialSuccess(rejected_spans=self.rejected_spans, error_message=self.message)
        said = self.rejected_spans or self.message
        body = ExportTraceServiceResponse(partial_success=partial if said else None).SerializeToString()
        head = f"HTTP/1.1 {self.status}\r\nContent-Type: application/x-protobuf\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


def welcome(export: Export) -> Answer:
    return Answer()


class Collector:
    """``answer`` decides about each request; ``exports`` holds all of them, ``taken`` those that were taken."""

    def __init__(self) -> None:
        self.answer: Callable[[Export], Answer] = welcome
        self.exports: list[Export] = []
        self.taken: list[Export] = []
        self.url = ""

    @property
    def spans(self) -> list[Span]:
        return [span for export in self.taken for span in export.spans]

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, *lines = (await read_head(reader)).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, path, _ = first.split(" ")
            if (method, path) != ("POST", PATH):
                writer.write(Answer("404 Not Found").bytes())
                continue
            if headers["content-type"] != "application/x-protobuf":
                writer.write(Answer("415 Unsupported Media Type").bytes())
                continue
            plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
            export = Export(headers, len(body), ExportTraceServiceRequest.FromString(plain))
            self.exports.append(export)
            answer = self.answer(export)
            if answer.never_comes:
                await reader.read()
                return
            if answer.status.startswith("2"):
                self.taken.append(export)
            writer.write(answer.bytes())


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    async with serving(collector.script) as port:
        collector.url = f"http://127.0.0.1:{port}{PATH}"
        yield collector


@contextmanager
def running_collector() -> Iterator[Collector]:
    """As ``collecting``, in a thread of its own."""
    ready: list[Collector] = []
    loop = asyncio.new_event_loop()
    started, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with collecting() as collector:
            ready.append(collector)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), name="collector")
    thread.start()
    try:
        started.wait()
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def attributes_of(pairs: "Iterator[KeyValue] | Any") -> dict[str, Any]:
    """Attributes as plain values; a name that is there twice fails the test."""
    names = [pair.key for pair in pairs]
    assert len(names) == len(set(names))
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    assert kind is not None
    if kind == "array_value":
        return [_plain(one) for one in value.array_value.values]
    return getattr(value, kind)
