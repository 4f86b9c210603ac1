"""One URL that takes POSTs, for sinks that speak HTTP: its settings, how it is reached, and what its answers mean.

What is in a request is the sink's own business.
"""

import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ... import __version__
from ...records import Duration, PathText, Size
from ..base import DeliveryError, Denied, Throttled, Unavailable
from .base import E, Problems, RejectedEvents, SinkConnection, variable

if TYPE_CHECKING:
    from httpx import AsyncClient, Response

__all__ = ["HttpConnection", "HttpReceiver"]

# What the receiver says about these very events; other statuses are about credentials, or its availability.
_UNWANTED = {400, 413, 422}
_BUSY = {429, 503}
_PASSING = {408, 425}


class HttpConnection(SinkConnection, frozen=True):
    """What every kind has that is reached by a URL."""

    url: str | None = None
    """Where to POST to. A URL with a key in it belongs into ``url_env``."""
    url_env: str | None = None
    """The environment variable that holds the URL."""
    timeout: Duration = Duration(30)
    """How long the other side may take to confirm."""
    ca_bundle: PathText | None = None
    """A PEM file to trust instead of the system's."""
    max_event_size: Size = Size(1_000_000)
    """The largest event that the other side takes, and the largest request."""

    def check(self) -> Problems:
        if (self.url is None) == (self.url_env is None):
            yield "", "needs either `url` or `url_env`"
        elif self.url is not None:
            yield from _check_url(self.url)


def _check_url(text: str) -> Problems:
    try:
        url = urlsplit(text)
        is_one = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        yield "url", "is not an http(s) URL; write it like https://example.com/calls"
    elif url.query or url.username:
        wrong = "has a query or a user name, which may be a key"
        yield "url", f"{wrong}: put the URL into a variable and name it as `url_env`"


class HttpReceiver:
    """A client for one URL. Requests go one after the other, so events stay in order."""

    def __init__(
        self, connection: HttpConnection, environ: Mapping[str, str], extra: str, meanings: Mapping[int, str]
    ) -> None:
        """``extra`` is what to install with it; ``meanings`` say what a status asks a person to do."""
        self._settings = connection
        self._environ = environ
        self._extra = extra
        self._meanings = meanings
        # while it is open
        self._client: AsyncClient | None = None
        self.host = ""

    async def open(self) -> None:
        """Reads URL and certificates anew. Whether the receiver is well is seen at the first request."""
        await self.close()
        try:
            import httpx
        except ImportError as error:
            raise Denied(f"this sink needs more packages: pip install 'tokenweir[{self._extra}]'") from error
        # It tells every URL that it asks, and ours may hold a key.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        self._url = self._settings.url or variable(self._environ, self._settings.url_env)
        self.host = urlsplit(self._url).netloc.rpartition("@")[2]
        try:
            trusted = ssl.create_default_context(cafile=self._settings.ca_bundle)
        except OSError as error:
            raise Denied(f"{self._settings.ca_bundle} holds no certificates that can be read") from error
        agent = {"user-agent": f"tokenweir/{__version__}"}
        self._client = httpx.AsyncClient(verify=trusted, timeout=self._settings.timeout, headers=agent)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def deliver(
        self, events: Sequence[E], ask: Callable[[Sequence[E]], Awaitable["Response"]], rejected: RejectedEvents
    ) -> None:
        """Posts events by ``ask``; where the receiver does not want several, halves of them, until those are found
        that it does not."""
        response = await ask(events)
        if response.is_success:
            return
        if response.status_code not in _UNWANTED:
            raise self.meaning(response)
        if len(events) == 1:
            rejected.add(f"{self.host} answers {response.status_code}", events)
            return
        half = len(events) // 2
        await self.deliver(events[:half], ask, rejected)
        await self.deliver(events[half:], ask, rejected)

    async def request(self, method: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> "Response":
        import httpx

        assert self._client is not None
        try:
            return await self._client.request(method, self._url, content=body, headers=headers)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Denied("the URL is none; write it like https://example.com/calls") from error
        except httpx.TimeoutException as error:
            raise Unavailable(f"{self.host} does not answer within {self._settings.timeout:g} s") from error
        except httpx.TransportError as error:
            if (refusal := _certificate_error(error)) is not None:
                said = f"the certificate of {self.host} is not trusted ({refusal.verify_message})"
                raise Denied(f"{said}: name its authority as `ca_bundle`") from error
            raise Unavailable(f"{self.host} cannot be reached ({type(error).__name__})") from error

    def meaning(self, response: "Response") -> DeliveryError:
        """Of an answer that takes nothing."""
        status = response.status_code
        if status in _BUSY:
            seconds = response.headers.get("retry-after", "")
            return Throttled(f"{self.host} is busy ({status})", float(seconds) if seconds.isdecimal() else None)
        if status >= 500 or status in _PASSING:
            return Unavailable(f"{self.host} returned {status} (server error)")
        if response.has_redirect_location:
            return Denied(f"{self.host} sends us elsewhere ({status}): name that address as `url`")
        return Denied(f"{self.host} {self._meanings.get(status, f'answers {status}: ask who runs it')}")


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The reason behind an error of the library, if it is that."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None
