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
import logging
import ssl
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .. import __version__
from ..records import Clock, SystemClock
from .base import Denied, Rejected, SinkError, Throttled, Unavailable
from .event import Event
from .settings import ConnectionSettings
from .shapes import CLOUD_EVENTS_TYPE

if TYPE_CHECKING:
    from httpx import AsyncClient, Response

__all__ = ["WebhookSink"]

_BATCH_TYPES = {
    "application/json": "application/json",
    CLOUD_EVENTS_TYPE: "application/cloudevents-batch+json",
}
"""An event's type → that of an array of such events. What is not here goes alone."""

# What the receiver says about these very events; anything else it says is about us, or about its day.
_UNWANTED = {400, 413, 422}
_BUSY = {429, 503}
_PASSING = {408, 425}

_MEANINGS = {
    401: "does not accept us (401): check `token_env` and `secret_env`",
    403: "does not let us in (403): check `token_env`, and the networks that it lets in",
    404: "has nothing at this path (404): correct `url`",
    405: "takes no POST at this path (405): correct `url`",
}


class WebhookSink:
    """See `Sink`. Requests go one after the other, so events stay in order."""

    def __init__(self, connection: ConnectionSettings, environ: Mapping[str, str], clock: Clock | None = None) -> None:
        self._settings = connection
        self._environ = environ
        self._clock = clock or SystemClock()
        # while it is open
        self._client: AsyncClient | None = None
        self._host = ""

    def __repr__(self) -> str:
        return f"<WebhookSink to {self._host or '?'}>"

    @property
    def max_event_size(self) -> int:
        return self._settings.max_event_size

    async def open(self) -> None:
        """Reads secrets and certificates anew. Whether the receiver is well is seen at the first request."""
        await self.close()
        try:
            import httpx
        except ImportError as error:
            raise Denied("a webhook needs one more package: pip install 'tokenweir[webhook]'") from error
        # It tells every URL that it asks, and ours may hold a key.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        self._url = self._settings.url or self._variable(self._settings.url_env)
        self._host = urlsplit(self._url).netloc.rpartition("@")[2]
        self._key = self._signing_key()
        headers = {"user-agent": f"tokenweir/{__version__}"}
        if self._settings.token_env is not None:
            headers["authorization"] = f"Bearer {self._variable(self._settings.token_env)}"
        try:
            trusted = ssl.create_default_context(cafile=self._settings.ca_bundle)
        except OSError as error:
            raise Denied(f"{self._settings.ca_bundle} holds no certificates that can be read") from error
        self._client = httpx.AsyncClient(verify=trusted, timeout=self._settings.timeout, headers=headers)

    async def send(self, events: Sequence[Event]) -> None:
        refused: dict[int, list[Event]] = {}
        for group in _requests(events, self._settings.max_event_size):
            await self._post(group, refused)
        if refused:
            statuses = " and ".join(str(status) for status in refused)
            raise Rejected(f"{self._host} answers {statuses}", [event for some in refused.values() for event in some])

    async def reach(self) -> None:
        """Asks for its head, which sends nothing: whether somebody is there whom we trust. The answer is not judged,
        since a receiver of webhooks need not know HEAD."""
        await self._request("HEAD")

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _post(self, events: Sequence[Event], refused: dict[int, list[Event]]) -> None:
        """Where the receiver does not want several events, halves of them, until those are found that it does not."""
        response = await self._ask(events)
        if response.is_success:
            return
        if response.status_code not in _UNWANTED:
            raise self._meaning(response)
        if len(events) == 1:
            refused.setdefault(response.status_code, []).extend(events)
            return
        half = len(events) // 2
        await self._post(events[:half], refused)
        await self._post(events[half:], refused)

    async def _ask(self, events: Sequence[Event]) -> "Response":
        batch_type = _BATCH_TYPES.get(events[0].content_type)
        body = b"[%b]" % b",".join(event.body for event in events) if batch_type else events[0].body
        headers = {"content-type": batch_type or events[0].content_type} | self._signature(body)
        if batch_type is None:
            headers |= {f"x-tokenweir-{_dashed(name)}": value for name, value in events[0].properties.items()}
        return await self._request("POST", body, headers)

    async def _request(self, method: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> "Response":
        import httpx

        assert self._client is not None
        try:
            return await self._client.request(method, self._url, content=body, headers=headers)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Denied("the webhook's URL is none; write it like https://example.com/calls") from error
        except httpx.TimeoutException as error:
            raise Unavailable(f"{self._host} does not answer within {self._settings.timeout:g} s") from error
        except httpx.TransportError as error:
            if (refusal := _certificate_error(error)) is not None:
                said = f"the certificate of {self._host} is not trusted ({refusal.verify_message})"
                raise Denied(f"{said}: name its authority as `ca_bundle`") from error
            raise Unavailable(f"{self._host} cannot be reached ({type(error).__name__})") from error

    def _signature(self, body: bytes) -> dict[str, str]:
        name = f"msg_{hashlib.sha256(body).hexdigest()[:32]}"
        seconds = str(int(self._clock.now().timestamp()))
        headers = {"webhook-id": name, "webhook-timestamp": seconds}
        if self._key is not None:
            signed = hmac.digest(self._key, f"{name}.{seconds}.".encode() + body, "sha256")
            headers["webhook-signature"] = f"v1,{b64encode(signed).decode()}"
        return headers

    def _meaning(self, response: "Response") -> SinkError:
        status = response.status_code
        if status in _BUSY:
            seconds = response.headers.get("retry-after", "")
            return Throttled(f"{self._host} is busy ({status})", float(seconds) if seconds.isdecimal() else None)
        if status >= 500 or status in _PASSING:
            return Unavailable(f"{self._host} has a bad day ({status})")
        if response.has_redirect_location:
            return Denied(f"{self._host} sends us elsewhere ({status}): name that address as `url`")
        return Denied(f"{self._host} {_MEANINGS.get(status, f'answers {status}: ask who runs it')}")

    def _signing_key(self) -> bytes | None:
        if self._settings.secret_env is None:
            return None
        try:
            return b64decode(self._variable(self._settings.secret_env).removeprefix("whsec_"), validate=True)
        except ValueError as error:
            said = f"the variable {self._settings.secret_env} holds no secret in base64"
            raise Denied(f"{said}; make one with: echo whsec_$(openssl rand -base64 32)") from error

    def _variable(self, name: str | None) -> str:
        value = self._environ.get(name or "", "").strip()
        if not value:
            raise Denied(f"the environment variable {name} is not set")
        return value


def _requests(events: Sequence[Event], limit: int) -> Iterator[list[Event]]:
    """Neighbours that may share a request, as many as ``limit`` bytes allow."""
    group: list[Event] = []
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


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The reason behind an error of the library, if it is that."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None
