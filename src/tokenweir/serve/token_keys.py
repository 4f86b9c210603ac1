"""The keys with which Entra ID signs tokens, fetched where nobody waits for them: at the start, once an hour, and when
a token came whose key is not known. While they cannot be fetched, those that came last stay in force.
"""

import http.client
import logging
import threading
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigError
from ..journal import Trouble
from ..policy import TokenVerifier, signing_keys
from ..proxies import NoConnection, Proxy, look_up, proxy_url, reach, reason, secure
from ..records import Clock

__all__ = ["TokenKeys", "fetch_keys"]

_log = logging.getLogger(__name__)

# Entra publishes keys days before it signs with them; its own libraries ask once a day.
_REFRESH_SECONDS = 3600.0
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_LOOK_SECONDS = 0.2
_TIMEOUT_SECONDS = 10.0
_MOST_BYTES = 1024 * 1024


class TokenKeys:
    """Brings a verifier its keys, in a thread of its own."""

    def __init__(self, verifier: TokenVerifier, clock: Clock) -> None:
        self.verifier = verifier
        self._clock = clock
        self._ended = threading.Event()
        self._has_all = False
        self.trouble: Trouble | None = None

    def __repr__(self) -> str:
        return f"<TokenKeys of {', '.join(self.verifier.settings.tenants)}>"

    def start(self) -> None:
        # A daemon: an issuer that does not answer must not keep the process from ending.
        threading.Thread(target=self._run, name="token keys", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def fetch(self) -> bool:
        """Asks for the keys of each tenant. Whether all came."""
        settings = self.verifier.settings
        failures = []
        for tenant in settings.tenants:
            url = settings.keys_url.replace("{tenant}", tenant)
            try:
                keys = fetch_keys(url, settings.ca_bundle)
            except (NoConnection, OSError, http.client.HTTPException, ValueError, ConfigError) as error:
                failures.append(f"the keys of tenant {tenant} cannot be fetched from {url}: {_words(error)}")
            else:
                self.verifier.take_keys(tenant.lower(), keys, self._clock.now().timestamp())
        self._has_all = self._has_all or not failures
        self._tell(failures)
        return not failures

    def _run(self) -> None:
        pause, due = _FIRST_PAUSE_SECONDS, self._clock.monotonic()
        while not self._ended.is_set():
            now = self._clock.monotonic()
            if now >= due or (self.verifier.wants_keys and self.trouble is None):
                is_well = self.fetch()
                pause = _FIRST_PAUSE_SECONDS if is_well else min(2 * pause, _LONGEST_PAUSE_SECONDS)
                due = self._clock.monotonic() + (_REFRESH_SECONDS if is_well else pause)
            self._ended.wait(_LOOK_SECONDS)

    def _tell(self, failures: list[str]) -> None:
        before = self.trouble
        if not failures:
            self.trouble = None
            if before is not None:
                _log.info("token keys: they can be fetched again")
            return
        stays = "those that came last stay in force" if self._has_all else "tokens are refused until they come"
        since = before.since if before is not None else self._clock.now()
        self.trouble = Trouble(since, f"{'; '.join(failures)}; {stays}", hinders_calls=not self._has_all)
        if before is None or before.message != self.trouble.message:
            _log.error("token keys: %s", self.trouble.message)


def fetch_keys(url: str, ca_bundle: str | None) -> "dict[str, tuple[str, object]]":
    """What a JWKS holds. Raises ``NoConnection``, ``OSError``, ``HTTPException``, and ValueError for what is none."""
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    if not is_tls and not _is_loopback(parts):
        raise ValueError("keys are fetched by https only")
    port = parts.port or (443 if is_tls else 80)
    named = proxy_url(host, port) if is_tls else None
    proxy = Proxy.parse(named) if named else None
    addresses = look_up(proxy.host, proxy.port) if proxy is not None else look_up(host, port)
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    stream = reach(host, port, proxy, addresses, _TIMEOUT_SECONDS)
    connection.sock = secure(stream, host, ca_bundle) if is_tls else stream
    try:
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        answer = connection.getresponse()
        body = answer.read(_MOST_BYTES + 1)
        if answer.status != 200 or len(body) > _MOST_BYTES:
            raise ValueError(f"it answered {answer.status}" if answer.status != 200 else "it is too long")
        return dict(signing_keys(body))
    finally:
        connection.close()


def _is_loopback(parts: SplitResult) -> bool:
    try:
        return parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, (NoConnection, ValueError, ConfigError)) else reason(error)
