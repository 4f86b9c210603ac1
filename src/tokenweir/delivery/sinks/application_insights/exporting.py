"""The official exporter, told to send and to do nothing else, and a witness of what is answered to it.

It is used without a logger provider and without a processor: nothing stands before it that could sample, gather or
drop events, whatever ``OTEL_…`` variables say. It writes no files, tries nothing again, and asks no other host than
the one of its connection string.
"""

import os
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest
from azure.identity import DefaultAzureCredential
from azure.monitor.opentelemetry.exporter import AzureMonitorLogExporter
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource

from ...base import Denied
from .answer import IngestionAnswer, read_answer
from .custom_event import CustomEvent

__all__ = ["Exporter", "ExportResult"]

# These can be said in the environment only. Each would send something about us to Microsoft, or start a thread that
# asks how to behave.
_QUIET = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
}

_EVENT_NAME = "microsoft.custom_event.name"


class ExportResult(msgspec.Struct):
    """Of one request: its answer, or an error instead of one; both None if nothing was sent."""

    answer: IngestionAnswer | None = None
    error: BaseException | None = None

    @property
    def is_sign_in(self) -> bool:
        """Whether it was not sent because there is no token to send with it."""
        return isinstance(self.error, ClientAuthenticationError)

    @property
    def is_certificate(self) -> bool:
        return any(isinstance(one, ssl.SSLCertVerificationError) for one in _causes(self.error))


class Exporter:
    """Methods block, and are for one thread at a time. `ValueError` for a connection string that is none, `Denied`
    where the environment describes no identity."""

    def __init__(
        self,
        connection_string: str,
        resource: Mapping[str, str],
        *,
        timeout: float,
        ca_bundle: str | None = None,
        signs_in: bool = False,
        client_id: str | None = None,
    ) -> None:
        os.environ.update(_QUIET)
        self.host = ""
        """Who was asked last."""
        self._result = ExportResult()
        options = {"managed_identity_client_id": client_id} if client_id else {}
        self._identity = _Identity(self, options) if signs_in else None
        self._resource = Resource(dict(resource))
        trust: dict[str, Any] = {"connection_verify": ca_bundle} if ca_bundle else {}
        self._exporter: Any = AzureMonitorLogExporter(
            connection_string=connection_string,
            credential=self._identity,
            disable_offline_storage=True,
            max_envelopes_per_second=0,
            retry_total=0,
            timeout=timeout,
            read_timeout=timeout,
            custom_hook_policy=_ResponseRecorder(self),
            **trust,
        )

    def export(self, events: Sequence[CustomEvent]) -> ExportResult:
        """Sends all events in one request."""
        self._result = ExportResult()
        # What it returns says less than the answers do.
        self._exporter.export([self._log_record(event) for event in events])
        return self._result

    def reach(self) -> ExportResult:
        """Asks for nothing that is there: whether somebody answers, and whether there is a token to sign in with."""
        self._result = ExportResult()
        try:
            self._exporter.client.send_request(HttpRequest("GET", "/"))
        except Exception as error:
            self.note_error(error)
        return self._result

    def close(self) -> None:
        self._exporter.shutdown()
        self._exporter.client.close()
        if self._identity is not None:
            self._identity.close()

    # --- for the witnesses ---

    def note_host(self, url: str) -> None:
        self.host = urlsplit(url).netloc

    def note_answer(self, answer: IngestionAnswer) -> None:
        """The last one counts: after a redirect, that of the host where the exporter went on."""
        self._result = ExportResult(answer)

    def note_error(self, error: BaseException | None) -> None:
        if self._result.answer is None:
            self._result = ExportResult(error=error)

    def _log_record(self, event: CustomEvent) -> ReadableLogRecord:
        trace_id, span_id = _ids(event.traceparent)
        moment = event.time
        nanoseconds = int(moment.replace(microsecond=0).timestamp()) * 1_000_000_000 + moment.microsecond * 1_000
        record = LogRecord(
            timestamp=nanoseconds,
            trace_id=trace_id,
            span_id=span_id,
            attributes={_EVENT_NAME: event.name, **event.properties},
        )
        return ReadableLogRecord(record, self._resource)


class _ResponseRecorder(SansIOHTTPPolicy[Any, Any]):
    """Stands last in the exporter's pipeline, before the wire."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter

    def on_request(self, request: PipelineRequest[Any]) -> None:
        self._exporter.note_host(request.http_request.url)

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        answer = response.http_response
        self._exporter.note_answer(read_answer(answer.status_code, answer.headers, answer.read()))

    def on_exception(self, request: PipelineRequest[Any]) -> None:
        self._exporter.note_error(sys.exc_info()[1])


class _Identity:
    """This machine's identity. Why it has no token is noted: the exporter takes that for the events' own fault."""

    def __init__(self, exporter: Exporter, options: dict[str, Any]) -> None:
        self._exporter = exporter
        try:
            self._credential = DefaultAzureCredential(**options)
        except ValueError as error:
            raise Denied("the AZURE_… variables of this process describe no identity") from error

    def get_token(self, *scopes: str, **options: Any) -> Any:
        try:
            return self._credential.get_token(*scopes, **options)
        except Exception as error:
            self._exporter.note_error(error)
            raise

    def close(self) -> None:
        self._credential.close()


def _ids(traceparent: str | None) -> tuple[int | None, int | None]:
    """Of the span that called us, so that the event is seen beneath it."""
    parts = (traceparent or "").split("-")
    try:
        _, trace_id, span_id, *_ = parts
        return int(trace_id, 16), int(span_id, 16)
    except ValueError:
        return None, None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that its library put inside it, each library in its own way."""
    if error is not None:
        yield error
        inside = (
            getattr(error, "inner_exception", None),
            getattr(error, "reason", None),
            *error.args,
            error.__context__,
        )
        for one in inside:
            if isinstance(one, BaseException):
                yield from _causes(one)
