"""Whether an upstream can be used: name, connection, certificate, and a cheap request with our credential.

Only the standard library's blocking client is used, so that a fault in the relay's own cannot hide.
"""

import asyncio
import http.client
import ipaddress
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import msgspec

from ...errors import TokenweirError
from ...providers import PROVIDERS
from ...proxies import NoConnection, look_up, reach, reason, secure
from ...records import SystemClock
from ...upstream import Endpoint, UpstreamSettings, credential_for
from .check_result import Broken, CheckResult, bad, fine, warn

__all__ = ["check_upstream"]

_MOST_OF_AN_ANSWER = 1024 * 1024
# A date has whole seconds, and an answer takes some.
_CLOCKS_APART = timedelta(seconds=30)

_ROLE = "a managed identity needs the role {role}"
_MEANINGS = {
    401: ("the credential is not accepted", f"use a key of this very resource; {_ROLE}"),
    403: ("we are not allowed in", f"let this network in at the resource, or use its private endpoint; {_ROLE}"),
    404: ("there is no such API", "correct `endpoint` (such as {example}), or `kind` if it is another provider's"),
}

_FIXES = {
    "name": "check the spelling of `endpoint`; a private endpoint needs its DNS zone linked to this network; "
    "behind a proxy, set HTTPS_PROXY or `proxy`",
    "connection": "open the way in firewall and networking rules; behind a proxy, set HTTPS_PROXY or `proxy`",
    "proxy": "let the upstream's host through at the proxy, correct `proxy` or HTTPS_PROXY, or set NO_PROXY",
    "tls": "if a company's proxy or authority signed it, name that certificate as `ca_bundle`; "
    "if the name does not match, correct `endpoint`",
}


def check_upstream(settings: UpstreamSettings, environ: Mapping[str, str]) -> Iterator[CheckResult]:
    """One result a step, up to the first that fails."""
    try:
        for result in _Probe(settings, environ).steps():
            yield _named(settings, result)
    except NoConnection as failed:
        yield _named(settings, bad(f"{failed}", _FIXES[failed.step]))
    except Broken as broken:
        yield _named(settings, broken.result)


def _clocks_apart(date: str | None, now: datetime) -> Iterator[CheckResult]:
    """What an answer's ``Date`` says of this machine's clock."""
    try:
        apart = now - parsedate_to_datetime(date or "")
    except (ValueError, TypeError):  # there is none that can be read, or it has no zone
        return
    if abs(apart) > _CLOCKS_APART:
        side = "ahead of" if apart > timedelta() else "behind"
        shown = timedelta(seconds=round(abs(apart).total_seconds()))
        what = f"the clock of this machine is {shown} {side} the upstream's"
        yield warn(what, "set it by NTP (chrony, timedatectl): records have its times, and tokens end by it")


def _named(settings: UpstreamSettings, result: CheckResult) -> CheckResult:
    return msgspec.structs.replace(result, what=f"upstream {settings.name}: {result.what}")


class _Probe:
    """The way to one upstream, step by step. A step that fails raises Broken."""

    def __init__(self, settings: UpstreamSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._provider = PROVIDERS[settings.kind]
        self._environ = environ
        try:
            self._endpoint = Endpoint.parse(settings.endpoint)
        except TokenweirError as error:
            raise Broken("`endpoint` cannot be used", "see the configuration's problems above") from error
        try:
            self._proxy = self._endpoint.proxy(settings.proxy)
        except TokenweirError as error:
            raise Broken(f"{error}", "correct `proxy`, or HTTPS_PROXY and ALL_PROXY") from error

    def steps(self) -> Iterator[CheckResult]:
        """Raises `NoConnection`, too."""
        header = self._credential()
        to, proxy = self._endpoint, self._proxy
        host, port = (to.host, to.port) if proxy is None else (proxy.host, proxy.port)
        addresses = look_up(host, port)
        is_private = all(ipaddress.ip_address(address.partition("%")[0]).is_private for address in addresses)
        yield fine(f"{host} is {', '.join(addresses)}{' (private)' if is_private else ''}")
        connection = http.client.HTTPConnection(to.host, to.port)
        connection.sock = reach(to.host, to.port, proxy, addresses, self._settings.connect_timeout)
        try:
            yield fine(f"connected to {'the proxy ' if proxy else ''}{host}:{port}")
            if to.tls:
                connection.sock = secured = secure(connection.sock, to.host, self._settings.ca_bundle)
                yield fine(f"{secured.version()} with a certificate that is trusted")
            yield from self._ask(connection, header)
        finally:
            connection.close()

    def _credential(self) -> dict[str, str]:
        try:
            credential = credential_for(self._settings, self._environ, SystemClock())
            if not credential.is_ready:
                asyncio.run(credential.obtain())
        except TokenweirError as error:
            raise Broken(f"there is no credential: {error}", "correct `credential`") from error
        if credential.line is None:
            return {}
        name, _, value = credential.line.decode().partition(": ")
        return {name: value}

    def _ask(self, connection: http.client.HTTPConnection, header: dict[str, str]) -> Iterator[CheckResult]:
        began = time.monotonic()
        probe, provider = self._provider.probe, self._provider
        version = self._settings.api_version or provider.api_version
        target = provider.request_target(self._endpoint.base, probe.family, probe.tail, api_version=version)
        asked = f"{probe.method} {target.decode()}"
        headers = {"Host": self._endpoint.authority.decode(), **header}
        headers |= {name.decode(): value.decode() for name, value in provider.headers}
        if probe.body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(probe.method, target.decode(), probe.body, headers)
            response = connection.getresponse()
            response.read(_MOST_OF_AN_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            fix = "check that what listens at `endpoint` speaks HTTP"
            raise Broken(f"no answer to {asked} ({reason(error)})", fix) from error
        yield from _clocks_apart(response.getheader("date"), SystemClock().now())
        yield self._judge(response, asked, f"{(time.monotonic() - began) * 1000:.0f} ms")

    def _judge(self, response: http.client.HTTPResponse, asked: str, took: str) -> CheckResult:
        """What a status means in words."""
        status = response.status
        if status == 401 and (self._settings.credential.pass_through or self._settings.credential.pass_token):
            return fine(f"answers in {took}; callers sign in with their own keys")
        if status < 300 or status in self._provider.probe.accepted:
            return fine(f"signed in; answers in {took}")
        if status < 400:
            target = urlsplit(response.getheader("location") or "").hostname or "elsewhere"
            raise Broken(f"it redirects to {target} ({status})", "name that address as `endpoint`")
        if status in _MEANINGS:
            what, fix = _MEANINGS[status]
            raise Broken(
                f"{what} ({status} to {asked})", fix.format(role=self._provider.role, example=self._provider.example)
            )
        return warn(f"answers {status} to {asked} in {took}", "try again; if it stays, ask who runs the upstream")
