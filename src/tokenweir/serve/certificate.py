"""The data port's certificate: read again when it was renewed, and watched for its end."""

import logging
import ssl
from datetime import UTC, datetime, timedelta

from ..config import expires_at
from ..errors import ConfigError
from ..gateway import ServerSettings
from ..records import Clock
from ..upstream import keep_large_blocks

__all__ = ["Certificate"]

_log = logging.getLogger(__name__)

# Renewal is due at two thirds of a certificate's life, for most a month before its end.
_WARN_BEFORE = timedelta(days=14)
_WARN_EVERY_SECONDS = 86_400.0
_LOOK_SECONDS = 10.0


class Certificate:
    """The TLS context in force. New connections have the renewed one; those that are open keep theirs."""

    def __init__(self, server: ServerSettings, clock: Clock) -> None:
        """Raises ConfigError where certificate and key cannot be used."""
        assert server.certificate is not None and server.private_key is not None
        self._certificate, self._private_key = server.certificate, server.private_key
        self._clock = clock
        self._content = self._read()
        self._looked_at = clock.monotonic()
        self._warned_at: float | None = None
        self._said = ""
        self.context = self._load()
        keep_large_blocks()
        self.expires_at = expires_at(self._content[0])
        self._warn()

    def __repr__(self) -> str:
        return f"<Certificate {self._certificate} until {self.expires_at:%Y-%m-%d}>"

    def look(self) -> None:
        """Takes what was renewed since the last look; what cannot be used leaves the old one in force."""
        now = self._clock.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            content = self._read()
            if content != self._content:
                self.context = self._load()
                self._content, self._said = content, ""
                self.expires_at = expires_at(content[0])
                self._warned_at = None
                _log.info("the certificate was renewed; it is good until %s", _day(self.expires_at))
        except ConfigError as error:
            if str(error) != self._said:
                _log.error("the certificate was not read again, the old one stays: %s", error)
                self._said = str(error)
        self._warn()

    def _read(self) -> tuple[bytes, bytes]:
        try:
            with open(self._certificate, "rb") as certificate, open(self._private_key, "rb") as key:
                return certificate.read(), key.read()
        except OSError as error:
            raise ConfigError(f"[server] certificate or private_key cannot be used: {error}") from error

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._private_key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"[server] certificate or private_key cannot be used: {error}") from error
        return context

    def _warn(self) -> None:
        """Once a day from two weeks before the end."""
        now = self._clock.monotonic()
        is_due = self._warned_at is None or now - self._warned_at >= _WARN_EVERY_SECONDS
        if self.expires_at is not None and is_due and self.expires_at - self._clock.now() < _WARN_BEFORE:
            self._warned_at = now
            verb = "has expired on" if self.expires_at < self._clock.now() else "expires on"
            _log.error("the certificate %s %s %s; renew it", self._certificate, verb, _day(self.expires_at))


def _day(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M UTC}" if moment else "an unknown day"
