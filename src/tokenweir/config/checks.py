"""What the tables of a configuration must be to one another and to this machine. Each check names the fix.

A check runs only where the tables it compares were read without a mistake: what is missing because of a
mistake is not a second one. Tables with a mistake are not in the configuration at all, so checks that look
at each of a list by itself need nothing.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path as FilePath

import msgspec

from ..apis import HEADS, SURFACES, TWO_WORDS
from ..delivery.sources import IntakeSettings, check_intake
from ..errors import ConfigError, QueryError, nearest, quoted
from ..ledger import NO_LEDGER, check_url, parse_timezone
from ..policy.keys_file import read_keys
from ..policy.settings import EntraSettings
from ..upstream import Endpoint
from .addresses import is_loopback, parse_address
from .limit_checks import admission, limits
from .model import Config
from .price_checks import prices, pricing, reservations
from .problems import Problems, no_certificates, no_key_pair, too_small, unreadable
from .setting_path import LISTS, Origins, Path
from .sink_checks import sink_calls, sink_connections, sink_events, sink_files, sink_large_events, sink_names
from .upstream_checks import any_upstream, credentials, endpoints, targets, upstream_amounts

__all__ = ["check"]

# Of hex digits, half of what its signatures have.
_SHORTEST_SECRET = 32
# Seconds. A call whose end is held for half a minute is given up.
_LONGEST_HELD = 20.0
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_RATE = re.compile(r"\d{1,9}(\.\d{1,12})?")
_CODE = re.compile(r"[A-Z]{3}")
_BLOB = re.compile(r"https?://[^/]+(/[^/]+)+/?")
_KEYS = re.compile(r"(postgres|postgresql|redis|rediss|unix|https?)://")
_SHORTEST_TERM = 2 * 86_400
_HEADER_SOURCE = re.compile(r"header:[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LOOPBACK_URL = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])[:/]")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@]+")


def check(
    config: Config, environ: Mapping[str, str], origins: Origins, flawed: frozenset[str], *, serves: bool = True
) -> list[str]:
    """Everything that keeps a configuration from being used, as lines for a person. ``serves``: whether by a gateway,
    which needs what a consumer does not."""
    return [
        origins.say(path, text)
        for run, needs in _CHECKS
        if flawed.isdisjoint(needs) and (serves or run not in _OF_GATEWAYS)
        for path, text in run(config, environ)
    ]


def _addresses(config: Config, environ: Mapping[str, str]) -> Problems:
    server = config.server
    for name, address in (("data", server.data), ("admin", server.admin)):
        try:
            parse_address(address)
        except ConfigError as error:
            yield ("server", name), str(error)
    for source in server.subject_from:
        if source not in ("user", "safety_identifier", "metadata.user_id") and not _HEADER_SOURCE.fullmatch(source):
            yield (
                ("server", "subject_from"),
                f"{quoted(source)} is none: there are user, safety_identifier, metadata.user_id, header:X-User-Id",
            )
    if server.subject_secret is not None and len(server.subject_secret) < _SHORTEST_SECRET:
        yield ("server", "subject_secret"), "is too short to be one; give a long random text, or leave it out"
    for origin in server.cors_origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            yield (
                ("server", "cors_origins"),
                f"{quoted(origin)} is no origin; give it as browsers send it, like https://chat.example, or * for all",
            )
    if server.data == server.admin and not server.data.endswith(":0"):
        yield ("server", "admin"), f"is {server.admin}, and so is `data`; give each its own port"


def _data_port(config: Config, environ: Mapping[str, str]) -> Problems:
    """With no key at all, every key is accepted; that must not leave this machine."""
    address = config.server.data
    if config.server.shared_keys is not None:
        return  # without a key, nobody is let in
    try:
        has_keys = bool(config.callers or config.entra.tenants or read_keys(FilePath(config.server.keys)))
    except ConfigError as error:
        yield ("server", "keys"), str(error)
        return
    if not has_keys and not _is_loopback(address):
        text = (
            f"{address} can be reached from other machines and no caller has a key, so anyone could call; "
            "create a key with `tokenweir keys create NAME`, or listen on 127.0.0.1"
        )
        yield ("server", "data"), text


def _admin_port(config: Config, environ: Mapping[str, str]) -> Problems:
    address, token = config.server.admin, config.server.admin_token
    if token == "":
        yield ("server", "admin_token"), "is empty; give a long random text, or leave it out"
    elif token is None and not _is_loopback(address):
        text = f"{address} can be reached from other machines; set `admin_token`, or listen on 127.0.0.1"
        yield ("server", "admin"), text


def _certificate(config: Config, environ: Mapping[str, str]) -> Problems:
    server = config.server
    if (server.certificate is None) != (server.private_key is None):
        missing = "private_key" if server.certificate else "certificate"
        yield ("server", missing), "is missing; TLS needs both `certificate` and `private_key`"
    found = [
        *unreadable(("server", "certificate"), server.certificate),
        *unreadable(("server", "private_key"), server.private_key),
    ]
    yield from found
    if server.certificate and server.private_key and not found:
        yield from no_key_pair(("server", "certificate"), server.certificate, server.private_key)


def _amounts(config: Config, environ: Mapping[str, str]) -> Problems:
    names = ("relays", "request_timeout", "keep_alive", "max_head", "max_body", "max_upload")
    yield from too_small(("server",), config.server, *names)
    for name in ("max_clients", "max_clients_per_address"):
        if getattr(config.server, name) < 0:
            yield ("server", name), "must be at least 1, or 0 for what the system allows"
    yield from too_small(("journal",), config.journal, "segment_size", "ship_timeout")
    yield from too_small(("jobs",), config.jobs, "first", "longest", "give_up")
    if config.journal.ship_timeout > _LONGEST_HELD:
        yield (
            ("journal", "ship_timeout"),
            f"must be {_LONGEST_HELD:g}s at most: clients wait for the end of their answers",
        )
    if config.journal.durability == "shipped" and not any(sink.holds_ends for sink in config.sinks):
        text = "is `shipped`, and there is no sink to wait for; configure one in [[sinks]], with `holds_ends`"
        yield ("journal", "durability"), text


def _tracing(config: Config, environ: Mapping[str, str]) -> Problems:
    tracing = config.tracing
    if not 0 <= tracing.sample <= 1:
        yield ("tracing", "sample"), f"is {tracing.sample:g}; give a share from 0 to 1, like 0.01"
    if tracing.secret is not None and len(tracing.secret) < _SHORTEST_SECRET:
        yield ("tracing", "secret"), "is too short to be one; give a long random text, or leave it out"
    if not tracing.api.strip():
        yield ("tracing", "api"), "is empty; give the name that `apiId` ends with"


def _distinct_names(config: Config, environ: Mapping[str, str]) -> Problems:
    for table in (table for table in LISTS if table not in ("prices", "exchange_rates", "adjustments", "reservations")):
        for name, count in Counter(item.name for item in getattr(config, table)).items():
            if not name.strip():
                yield (table,), "a `name` is empty"
            elif count > 1:
                yield (table, f'"{name}"'), f"is there {count} times; give each its own name"


def _caller_keys(config: Config, environ: Mapping[str, str]) -> Problems:
    owners: dict[str, str] = {}
    for caller in config.callers:
        path = ("callers", f'"{caller.name}"', "key_sha256")
        if caller.key_sha256 is None:
            continue
        if not _HASH.fullmatch(caller.key_sha256):
            yield path, 'is not 64 hex digits; make it with: printf %s "$KEY" | sha256sum'
        elif (owner := owners.setdefault(caller.key_sha256.lower(), caller.name)) != caller.name:
            yield path, f'is the key of "{owner}" too; a key belongs to one caller'


def _groups(config: Config, environ: Mapping[str, str]) -> Problems:
    known = [group.name for group in config.groups]
    for caller in config.callers:
        for name in caller.groups:
            if name not in known:
                meant = nearest(name, known)
                hint = f"did you mean `{meant}`?" if meant else "there is " + (", ".join(known) or "none")
                yield ("callers", f'"{caller.name}"', "groups"), f"no group is called {quoted(name)}; {hint}"
    for table, allowed in (("groups", config.groups), ("callers", config.callers)):
        for one in allowed:
            yield from _surfaces_exist((table, f'"{one.name}"', "surfaces"), one.surfaces or [])


def _surfaces_exist(path: Path, patterns: list[str]) -> Problems:
    """Of paths that nobody here knows a name may be right; what is nearly a known one is not meant so."""
    words = [surface.name for surface in SURFACES] + sorted(TWO_WORDS | HEADS)
    for pattern in patterns:
        if not pattern.endswith("*") and pattern not in words and (meant := nearest(pattern, words)):
            yield path, f"{quoted(pattern)} is no surface; did you mean `{meant}`?"


def _entra(config: Config, environ: Mapping[str, str]) -> Problems:
    entra = config.entra
    if not entra.tenants:
        if msgspec.structs.replace(entra, audiences=[]) != EntraSettings() or entra.audiences:
            yield ("entra", "tenants"), "is missing; name the tenants whose tokens are let in"
        return
    if not entra.audiences:
        text = "is missing; name what tokens must be made out for, such as api://tokenweir"
        yield ("entra", "audiences"), text
    for name in ("tenants", "audiences"):
        if not all(one.strip() for one in getattr(entra, name)):
            yield ("entra", name), "has an empty name in it"
    for issuer in entra.issuers:
        if "{tenant}" not in issuer and len(entra.tenants) > 1:
            yield (
                ("entra", "issuers"),
                f"{quoted(issuer)} is the same for all tenants; put {{tenant}} for its id",
            )
    if not entra.keys_url.startswith("https://") and not _LOOPBACK_URL.match(entra.keys_url):
        yield (
            ("entra", "keys_url"),
            "does not begin with https://, so whoever is on the way could add a key",
        )
    known = [group.name for group in config.groups]
    for name in entra.groups:
        if name not in known:
            yield ("entra", "groups"), f"no group is called {quoted(name)}; there is {', '.join(known) or 'none'}"
    yield from no_certificates(("entra", "ca_bundle"), entra.ca_bundle)


def _applications(config: Config, environ: Mapping[str, str]) -> Problems:
    owners: dict[str, str] = {}
    for caller in config.callers:
        for application in caller.applications:
            if (owner := owners.setdefault(application, caller.name)) != caller.name:
                path = ("callers", f'"{caller.name}"', "applications")
                yield path, f'{quoted(application)} is an application of "{owner}" too; its tokens belong to one caller'


def _former_names(config: Config, environ: Mapping[str, str]) -> Problems:
    owners = {caller.name: caller.name for caller in config.callers}
    for caller in config.callers:
        for name in caller.formerly:
            if name == caller.name or (owner := owners.setdefault(name, caller.name)) == caller.name:
                continue
            yield ("callers", f'"{caller.name}"', "formerly"), f'"{name}" is, or was, the caller "{owner}"'


def _ledger(config: Config, environ: Mapping[str, str]) -> Problems:
    try:
        check_url(config.ledger.url)
    except ConfigError as error:
        yield ("ledger", "url"), str(error)


def _retention(config: Config, environ: Mapping[str, str]) -> Problems:
    if config.retention.calls is None:
        return
    if config.ledger.url.startswith("clickhouse"):
        text = "cannot be kept in ClickHouse, which has no sums of days to stay; leave it out"
        yield ("retention", "calls"), text
    elif config.retention.calls < _SHORTEST_TERM:
        yield ("retention", "calls"), "is shorter than two days; days are summed up when they are over"


def _places(config: Config, environ: Mapping[str, str]) -> Problems:
    """Those that are addresses; who cannot be reached is told by who goes there."""
    archive, keys = config.journal.archive or "", config.server.shared_keys
    if "://" in archive and not _BLOB.fullmatch(archive):
        text = f"{quoted(archive)} is no container, as in https://ACCOUNT.blob.core.windows.net/NAME, and no directory"
        yield ("journal", "archive"), text
    if keys is not None and not _KEYS.match(keys):
        yield ("server", "shared_keys"), "begins with none of postgresql://, redis://, rediss://, unix:// and https://"


def _no_ledger(config: Config, environ: Mapping[str, str]) -> Problems:
    if config.ledger.url == NO_LEDGER and not config.sinks:
        yield ("ledger", "url"), 'is "none" and there are no [[sinks]], so records would go nowhere; add one'


def _intake(config: Config, environ: Mapping[str, str]) -> Problems:
    """Who never consumes has no such table; the default in it starts at the file all the same."""
    if msgspec.structs.replace(config.intake, dead_letters="") == IntakeSettings(dead_letters=""):
        return
    try:
        check_intake(config.intake, environ)
    except ConfigError as error:
        yield ("intake",), str(error)


def _profiles(config: Config, environ: Mapping[str, str]) -> Problems:
    """A key's variable may be missing here: the file is shared, and keys are each person's own."""
    for profile in config.profiles:
        try:
            Endpoint.parse(profile.endpoint)
        except ConfigError as error:
            yield ("profiles", f'"{profile.name}"', "endpoint"), str(error)


def _is_loopback(address: str) -> bool:
    """Whether only this machine can reach it; an address that is none is another check's business."""
    try:
        return is_loopback(parse_address(address)[0])
    except ConfigError:
        return True


def _statements(config: Config, environ: Mapping[str, str]) -> Problems:
    told = config.statements
    try:
        parse_timezone(told.timezone)
    except QueryError as error:
        yield ("statements", "timezone"), str(error)
    if not 1 <= told.fiscal_year_month <= 12:
        yield ("statements", "fiscal_year_month"), "is a month, from 1 to 12"
    try:
        odd = told.odd_years()
    except ValueError as error:
        yield ("statements", "fiscal_years"), f'are years and their first days, like 2027 = "2026-09-27" ({error})'
    else:
        if odd:
            yield (
                ("statements", "fiscal_years"),
                f"{odd[0]} has neither 52 nor 53 weeks until the first day of the next; look at both days",
            )
    for number, rate in enumerate(told.rates, start=1):
        path, before = ("statements", "rates", f"#{number}"), told.rates[: number - 1]
        for name, currency in (("currency", rate.currency), ("into", rate.into)):
            if not _CODE.fullmatch(currency):
                yield (*path, name), "is three capital letters, like EUR or USD"
        if not _RATE.fullmatch(rate.rate) or not Decimal(rate.rate):
            yield (*path, "rate"), 'is how many of `into` one of `currency` is worth, like "0.92"'
        if (rate.currency, rate.into, rate.since) in ((one.currency, one.into, one.since) for one in before):
            yield path, "is for the same currencies from the same day on as another; let them differ in `since`"


_CHECKS: list[tuple[Callable[[Config, Mapping[str, str]], Problems], tuple[str, ...]]] = [
    (_addresses, ()),
    (_data_port, ("server", "callers")),
    (_admin_port, ("server",)),
    (_certificate, ("server",)),
    (_amounts, ()),
    (_tracing, ("tracing",)),
    (any_upstream, ("upstreams",)),
    (_distinct_names, ()),
    (endpoints, ()),
    (credentials, ()),
    (targets, ("upstreams", "deployments")),
    (upstream_amounts, ()),
    (_caller_keys, ()),
    (_groups, ("groups", "callers")),
    (_entra, ("entra", "groups")),
    (_applications, ("callers",)),
    (_former_names, ()),
    (_ledger, ()),
    (_no_ledger, ("ledger", "sinks")),
    (_places, ()),
    (_retention, ("retention", "ledger")),
    (sink_names, ()),
    (sink_connections, ()),
    (sink_calls, ()),
    (sink_events, ()),
    (sink_files, ()),
    (sink_large_events, ()),
    (prices, ("prices",)),
    (reservations, ("reservations",)),
    (pricing, ("pricing", "prices", "exchange_rates", "adjustments")),
    (_statements, ("statements",)),
    (admission, ("admission",)),
    (limits, ("callers", "groups", "deployments", "limits")),
    (_intake, ("intake",)),
    (_profiles, ()),
]
"""Each check with the tables it compares."""

_OF_GATEWAYS = (_data_port, any_upstream)
