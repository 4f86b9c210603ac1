"""A sink that POSTs JSON arrays of events to a URL, signed by the rules of Standard Webhooks where a secret is given.

    content-type         application/json, or application/cloudevents-batch+json for CloudEvents
    authorization        Bearer TOKEN, where ``token_env`` is set
    webhook-id           the same whenever the same body is sent again
    webhook-timestamp    seconds since 1970
    webhook-signature    v1,BASE64 of HMAC-SHA256 over ID.TIMESTAMP.BODY, where ``secret_env`` is set

A part of an event that was split is no JSON, unless it is in an envelope. It goes alone, as it is, with its properties
as headers (``x-tokenweir-call-id``, ``x-tokenweir-part``, ``x-tokenweir-parts`` and so on).
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ...records import Clock, SystemClock
from ..base import Denied
from .base import JsonEvent, RejectedEvents, SinkSettings, variable
from .formats import CLOUD_EVENTS_TYPE, JSON_EVENTS
from .http import HttpConnection, HttpReceiver

if TYPE_CHECKING:
    from httpx import Response

__all__ = ["WebhookConnection", "WebhookSink"]

_BATCH_TYPES = {
    "application/json": "application/json",
    CLOUD_EVENTS_TYPE: "application/cloudevents-batch+json",
}
"""An event's type → that of an array of such events. What is not here goes alone."""

_MEANINGS = {
    401: "does not accept us (401): check `token_env` and `secret_env`",
    403: "does not let us in (403): check `token_env`, and the networks that it lets in",
    404: "has nothing at this path (404): correct `url`",
    405: "takes no POST at this path (405): correct `url`",
}


class WebhookConnection(HttpConnection, frozen=True):
    """Kind ``webhook``: a URL to which events are POSTed."""

    events = JSON_EVENTS

    token_env: str | None = None
    """The environment variable that holds a token, sent as ``Authorization: Bearer``."""
    secret_env: str | None = None
    """The environment variable that holds the secret to sign with (``whsec_…``, Standard Webhooks)."""

    def new_sink(self, settings: SinkSettings, environ: Mapping[str, str]) -> "WebhookSink":
        return WebhookSink(self, environ)

    def packages(self) -> Iterator[tuple[str, str, str]]:
        yield "kind", "webhook", "httpx"

    async def found_by(self, sink: "WebhookSink", settings: SinkSettings) -> str:
        await sink.reach()
        return "somebody listens there; whether events are welcome is seen when the first is sent"


class WebhookSink:
    """See `Sink`. Requests go one after the other, so events stay in order."""

    def __init__(self, connection: WebhookConnection, environ: Mapping[str, str], clock: Clock | None = None) -> None:
        self._settings = connection
        self._environ = environ
        self._receiver = HttpReceiver(connection, environ, "webhook", _MEANINGS)
        self._clock = clock or SystemClock()
        # while it is open
        self._authorization: dict[str, str] = {}
        self._key: bytes | None = None

    def __repr__(self) -> str:
        return f"<WebhookSink to {self._receiver.host or '?'}>"

    @property
    def max_event_size(self) -> int:
        return self._settings.max_event_size

    async def open(self) -> None:
        """Reads secrets and certificates anew. Whether the receiver is well is seen at the first request."""
        await self._receiver.open()
        self._key = self._signing_key()
        if self._settings.token_env is not None:
            token = variable(self._environ, self._settings.token_env)
            self._authorization = {"authorization": f"Bearer {token}"}

    async def send(self, events: Sequence[JsonEvent]) -> None:
        rejected = RejectedEvents()
        for group in _requests(events, self._settings.max_event_size):
            await self._receiver.deliver(group, self._ask, rejected)
        rejected.raise_if_any()

    async def reach(self) -> None:
        """Asks for its head, which sends nothing: whether somebody is there whom we trust. The answer is not judged,
        since a receiver of webhooks need not know HEAD."""
        await self._receiver.request("HEAD", headers=self._authorization)

    async def close(self) -> None:
        await self._receiver.close()

    async def _ask(self, events: Sequence[JsonEvent]) -> "Response":
        batch_type = _BATCH_TYPES.get(events[0].content_type)
        body = b"[%b]" % b",".join(event.body for event in events) if batch_type else events[0].body
        headers = {"content-type": batch_type or events[0].content_type} | self._signature(body)
        if batch_type is None:
            headers |= {f"x-tokenweir-{_dashed(name)}": value for name, value in events[0].properties.items()}
        return await self._receiver.request("POST", body, headers | self._authorization)

    def _signature(self, body: bytes) -> dict[str, str]:
        name = f"msg_{hashlib.sha256(body).hexdigest()[:32]}"
        seconds = str(int(self._clock.now().timestamp()))
        headers = {"webhook-id": name, "webhook-timestamp": seconds}
        if self._key is not None:
            signed = hmac.digest(self._key, f"{name}.{seconds}.".encode() + body, "sha256")
            headers["webhook-signature"] = f"v1,{b64encode(signed).decode()}"
        return headers

    def _signing_key(self) -> bytes | None:
        if self._settings.secret_env is None:
            return None
        try:
            secret = variable(self._environ, self._settings.secret_env).removeprefix("whsec_")
            return b64decode(secret, validate=True)
        except ValueError as error:
            said = f"the variable {self._settings.secret_env} holds no secret in base64"
            raise Denied(f"{said}; make one with: echo whsec_$(openssl rand -base64 32)") from error


def _requests(events: Sequence[JsonEvent], limit: int) -> Iterator[list[JsonEvent]]:
    """Neighbours that may share a request, as many as ``limit`` bytes allow."""
    group: list[JsonEvent] = []
    size = 0
    for event in events:
        fits = size + event.size <= limit and event.content_type in _BATCH_TYPES
        if group and not (fits and event.content_type == group[0].content_type):
            yield group
            group, size = [], 0
        group.append(event)
        size += event.size
    if group:
        yield group


def _dashed(name: str) -> str:
    return name.replace("_", "-")
