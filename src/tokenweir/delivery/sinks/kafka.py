"""A sink that is a Kafka topic, or an Event Hub through its Kafka endpoint.

A message's value is the event, its key the event's key; properties and content type are headers, as the Kafka binding
of CloudEvents wants it. Every replica has to confirm (``acks=all``), and the producer is idempotent where the broker
lets it be, so that what the library sends again is not there twice.
"""

import asyncio
import logging
import re
import ssl
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, quoted
from ...records import Duration, PathText, Size
from ..base import DeliveryError, Denied, Rejected, Throttled, Unavailable, way_of_asking
from ..event_hub import HubAddress
from .base import JsonEvent, Problems, SinkConnection, SinkSettings, by_size, variable
from .formats import JSON_EVENTS

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

__all__ = ["KafkaConnection", "KafkaSink"]

_log = logging.getLogger(__name__)

# Event Hubs drops connections that were idle for four minutes, and requests on them are lost.
_IDLE_MS = 180_000

# The library tries again by itself, and logs each failure.
_RETRY_MS = 1_000

_EVENT_HUBS_PORT = 9093

# A broker that is well says at once what topics there are, or makes one within moments.
_FINDING_SECONDS = 10.0

# How long closing may take. What has not been confirmed until then is sent again anyway.
_CLOSING_SECONDS = 2.0


_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class KafkaConnection(SinkConnection, frozen=True):
    """Kind ``kafka``: a topic, also an Event Hub by its Kafka endpoint."""

    events = JSON_EVENTS

    servers: str | None = None
    """``broker-1:9092,broker-2:9092``."""
    topic: str | None = None
    """The topic; with a connection string the hub is one, too."""
    username: str | None = None
    """For SASL PLAIN, with ``password_env``."""
    password_env: str | None = None
    """The environment variable that holds the password."""
    tls: bool = True
    """Whether to speak TLS (``SSL`` or ``SASL_SSL`` in Kafka's words), or plaintext."""
    connection_string_env: str | None = None
    """The environment variable that holds an Event Hubs connection string, instead of ``servers``."""
    timeout: Duration = Duration(30)
    """How long the other side may take to confirm."""
    ca_bundle: PathText | None = None
    """A PEM file to trust instead of the system's."""
    max_event_size: Size = Size(1_000_000)
    """The largest event that the other side takes, and the largest batch."""

    def new_sink(self, settings: SinkSettings, environ: Mapping[str, str]) -> "KafkaSink":
        return KafkaSink(self, environ)

    def check(self) -> Problems:
        if (self.connection_string_env is None) == (self.servers is None):
            yield "", "needs either `servers`, or `connection_string_env` for the Kafka endpoint of Event Hubs"
        elif self.servers is not None and self.topic is None:
            yield "topic", "is missing"
        if self.topic is not None and not _TOPIC.fullmatch(self.topic):
            yield "topic", "cannot be a topic: use letters, digits, `-`, `_` and `.`"
        if (self.username is None) != (self.password_env is None):
            yield "", "needs both `username` and `password_env`, or neither"

    def check_variables(self, environ: Mapping[str, str]) -> Problems:
        if self.connection_string_env is not None:
            try:
                HubAddress(connection_string=environ[self.connection_string_env], hub=self.topic).check()
            except ConfigError as error:
                yield "connection_string_env", str(error).replace("set hub", "set `topic`")

    def packages(self) -> Iterator[tuple[str, str, str]]:
        yield "kind", "kafka", "aiokafka"


class KafkaSink:
    """See `Sink`. An event without a key goes by its call, so that the parts of one stay together."""

    def __init__(self, connection: KafkaConnection, environ: Mapping[str, str]) -> None:
        self._settings = connection
        self._environ = environ
        # while it is open
        self._producer: AIOKafkaProducer | None = None
        self._servers = connection.servers or "?"
        self._topic = connection.topic or "?"
        self._partitions: list[int] = []

    def __repr__(self) -> str:
        return f"<KafkaSink to topic {self._topic!r} of {self._servers}, {len(self._partitions)} partitions>"

    @property
    def max_event_size(self) -> int:
        return self._settings.max_event_size

    async def open(self) -> None:
        await self.close()
        try:
            import aiokafka  # noqa: F401
        except ImportError as error:
            raise Denied("a sink to Kafka needs one more package: pip install 'tokenweir[kafka]'") from error
        # It tells each message that it sends, which may be a prompt.
        logging.getLogger("aiokafka").setLevel(logging.ERROR)
        options = self._options()
        try:
            async with asyncio.timeout(self._settings.timeout):
                await self._start(options)
            self._partitions = await self._find_partitions()
        except Exception as error:
            raise self._as_ours(error) from error

    async def send(self, events: Sequence[JsonEvent]) -> None:
        refused: list[JsonEvent] = []
        try:
            # The library sends the batches of all partitions in one request, however large that becomes, and Event
            # Hubs closes the connection on one that is larger than it takes. So no more may be under way at once.
            for group in by_size(events, self._settings.max_event_size):
                async with asyncio.timeout(self._settings.timeout):
                    refused += await self._send_group(group)
        except Exception as error:
            raise self._as_ours(error) from error
        if refused:
            raise Rejected(f"larger than max_event_size, {self._settings.max_event_size} bytes", refused)

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # Stopping waits for what is under way, for ever if the broker is gone; so that is given up before. An attempt
        # that is just being made stumbles over this, and with it the stopping, but for the connections.
        producer._message_accumulator.fail_all(ConnectionError())
        with suppress(Exception):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await producer.stop()
        with suppress(Exception):
            await producer.client.close()

    @property
    def _opened(self) -> "AIOKafkaProducer":
        assert self._producer is not None
        return self._producer

    async def _start(self, options: dict[str, Any]) -> None:
        from aiokafka import AIOKafkaProducer, errors

        no_number = (errors.UnknownError, errors.UnsupportedVersionError, errors.ClusterAuthorizationFailedError)
        for is_idempotent in (True, False):
            self._producer = AIOKafkaProducer(**options, enable_idempotence=is_idempotent)
            try:
                await self._producer.start()
                return
            except no_number as error:
                await self.close()
                if not is_idempotent:
                    raise
                said = "topic %s: the broker gives us no producer id (%s), so a message may be there twice"
                _log.warning(said, self._topic, type(error).__name__)

    async def _find_partitions(self) -> list[int]:
        from aiokafka.errors import UnknownTopicOrPartitionError

        try:
            async with asyncio.timeout(min(_FINDING_SECONDS, self._settings.timeout)):
                return sorted(await self._opened.partitions_for(self._topic))
        except TimeoutError as error:
            raise UnknownTopicOrPartitionError from error

    async def _send_group(self, events: Sequence[JsonEvent]) -> list[JsonEvent]:
        """Returns those that are too large."""
        from aiokafka.errors import MessageSizeTooLargeError

        refused: list[JsonEvent] = []
        confirmations: list[asyncio.Future[object]] = []
        for event in events:
            key = event.key.encode() if event.key is not None else None
            by_call = zlib.crc32(event.call_id.encode()) % len(self._partitions)
            beside = {**event.properties, "content-type": event.content_type}
            try:
                confirmation = await self._opened.send(
                    self._topic,
                    event.body,
                    key=key,
                    partition=self._partitions[by_call] if key is None else None,
                    headers=[(name, value.encode()) for name, value in beside.items()],
                )
            except MessageSizeTooLargeError:
                refused.append(event)
            else:
                confirmations.append(confirmation)
        outcomes = await asyncio.gather(*confirmations, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return refused

    def _options(self) -> dict[str, Any]:
        """What the producer is told, but for idempotence."""
        sign_in = self._sign_in()
        encryption: dict[str, Any] = {"security_protocol": "SASL_PLAINTEXT" if sign_in else "PLAINTEXT"}
        if self._settings.tls:
            encryption = {"security_protocol": "SASL_SSL" if sign_in else "SSL", "ssl_context": self._trusted()}
        return {
            "bootstrap_servers": self._servers.split(","),
            "client_id": "tokenweir",
            "acks": "all",
            "max_request_size": self._settings.max_event_size,
            "max_batch_size": self._settings.max_event_size,
            "request_timeout_ms": int(self._settings.timeout * 1000),
            "retry_backoff_ms": _RETRY_MS,
            "metadata_max_age_ms": _IDLE_MS,
            "connections_max_idle_ms": _IDLE_MS,
            **encryption,
            **sign_in,
        }

    def _sign_in(self) -> dict[str, str]:
        settings = self._settings
        if settings.connection_string_env is not None:
            text = variable(self._environ, settings.connection_string_env)
            address = HubAddress(connection_string=text, hub=settings.topic)
            try:
                address.check()
            except ConfigError as error:
                raise Denied(str(error)) from error
            namespace, self._topic = address.place()
            self._servers = f"{namespace}:{_EVENT_HUBS_PORT}"
            return _plain("$ConnectionString", text)
        if settings.username is not None:
            return _plain(settings.username, variable(self._environ, settings.password_env))
        return {}

    def _trusted(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._settings.ca_bundle)
        except OSError as error:
            raise Denied(f"{self._settings.ca_bundle} holds no certificates that can be read") from error

    def _as_ours(self, error: Exception) -> DeliveryError:
        from aiokafka import errors

        place = f"topic {quoted(self._topic)} of {self._servers}"
        match error:
            case DeliveryError():
                return error
            case errors.UnknownTopicOrPartitionError() | errors.InvalidTopicError():
                return Denied(f"there is no {place}: create it, or correct `topic`")
            case errors.TopicAuthorizationFailedError() | errors.ClusterAuthorizationFailedError():
                return Denied(f"we may not write to {place}: give this user the right to")
            case errors.AuthenticationFailedError() | errors.SaslAuthenticationFailed():
                return Denied(f"{self._servers} does not accept our user: check `username` and the password")
            case errors.MessageSizeTooLargeError() | errors.RecordListTooLargeError():
                return Denied(f"{place} takes smaller messages than max_event_size: lower that, or raise its limit")
            case errors.QuotaViolationError():
                return Throttled(f"{self._servers} is busy")
            case errors.KafkaConnectionError():
                check = "check `servers`, user and password, and the way there; the log has each server's reason"
                said = f"no server of {self._servers} lets us in: {way_of_asking(tls=self._settings.tls)}; {check}"
                return Unavailable(said)
            case TimeoutError() if not self._partitions:
                way = way_of_asking(tls=self._settings.tls)
                return Unavailable(f"{self._servers} does not answer within {self._settings.timeout:g} s: {way}")
            case TimeoutError() | errors.KafkaTimeoutError():
                return Unavailable(f"{place} does not confirm within {self._settings.timeout:g} s")
        return Unavailable(f"{place} takes nothing now ({type(error).__name__})")


def _plain(username: str, password: str) -> dict[str, str]:
    return {"sasl_mechanism": "PLAIN", "sasl_plain_username": username, "sasl_plain_password": password}
