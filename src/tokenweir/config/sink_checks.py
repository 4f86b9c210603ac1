"""What ``[[sinks]]`` must be: names that can be a file's, and for each kind what it needs and nothing else."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as FilePath
from urllib.parse import urlsplit

import msgspec

from ..delivery.event_hubs import HubAddress
from ..delivery.sinks import ConnectionSettings, SinkSettings, dead_letters_path
from ..delivery.sinks.application_insights.sink import CONNECTION_STRING_VARIABLE
from ..delivery.sinks.formats.fitting import SMALLEST_LIMIT
from ..delivery.sinks.settings import SinkKind
from ..errors import ConfigError
from .found import Found, too_small, unreadable
from .kinds import fields
from .model import Config
from .places import Path, place

__all__ = ["sink_connections", "sink_events", "sink_files", "sink_names"]

_NAME = re.compile(r"\w[\w.-]*", re.ASCII)

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")

_KINDS: dict[SinkKind, tuple[str, ...]] = {
    "event_hubs": (
        "connection_string_env",
        "namespace",
        "managed_identity",
        "client_id",
        "hub",
        "endpoint",
        "websockets",
        "timeout",
        "ca_bundle",
    ),
    "kafka": (
        *("servers", "topic", "username", "password_env", "tls", "connection_string_env"),
        *("timeout", "ca_bundle", "max_event_size"),
    ),
    "webhook": ("url", "url_env", "token_env", "secret_env", "timeout", "ca_bundle", "max_event_size"),
    "file": ("path", "rotate_at", "keep"),
    "otlp": ("url", "url_env", "headers_env", "timeout", "ca_bundle", "max_event_size"),
    "application_insights": ("connection_string_env", "managed_identity", "client_id", "timeout", "ca_bundle"),
}
"""Each kind with the settings of a connection that mean something to it."""

_OF_SPANS = ("content", "sampler")
"""Settings of a sink that mean something to kind ``otlp`` only."""
_OF_SHAPES = ("shape", "cloud_events", "partition_by", "on_too_large")
"""Those that mean something where events have a shape: to all kinds but these."""
_WITHOUT_SHAPE: tuple[SinkKind, ...] = ("otlp", "application_insights")

Wrong = Iterator[tuple[str, str]]
"""The setting, and what is wrong with it."""


def sink_names(config: Config, environ: Mapping[str, str]) -> Found:
    for sink in config.sinks:
        if not _NAME.fullmatch(sink.name):
            yield (*_of(sink), "name"), "names a cursor file, too: use letters, digits, `-`, `_` and `.`"


def sink_connections(config: Config, environ: Mapping[str, str]) -> Found:
    for sink in config.sinks:
        path, connection = (*_of(sink), "connection"), sink.connection
        for name, field in fields(ConnectionSettings).items():
            if name not in _KINDS[sink.kind] and getattr(connection, name) != field.default:
                meant = " and ".join(f'"{kind}"' for kind, names in _KINDS.items() if name in names)
                yield (*path, name), f'belongs to kind {meant}, and this sink is "{sink.kind}"'
        rules = [*_RULES[sink.kind](connection), *_variables(_in_full(sink), environ)]
        for name, wrong in rules or _hub(sink, environ):
            yield ((*path, name) if name else path), wrong
        yield from too_small(path, connection, "timeout", "rotate_at")
        yield from unreadable((*path, "ca_bundle"), connection.ca_bundle)
        if connection.max_event_size < SMALLEST_LIMIT:
            yield (*path, "max_event_size"), f"must be at least {SMALLEST_LIMIT} bytes"


def sink_events(config: Config, environ: Mapping[str, str]) -> Found:
    """What is sent of a call: spans, a custom event, or events of some shape."""
    known = fields(SinkSettings)
    for sink in config.sinks:
        foreign = {name: 'kind "otlp"' for name in _OF_SPANS if sink.kind != "otlp"}
        if sink.kind in _WITHOUT_SHAPE:
            foreign |= dict.fromkeys(_OF_SHAPES, "sinks whose events have a shape")
        for name, meant in foreign.items():
            if getattr(sink, name) != known[name].default:
                yield (*_of(sink), name), f'belongs to {meant}, and this sink is "{sink.kind}"'


def sink_files(config: Config, environ: Mapping[str, str]) -> Found:
    """Two that write one file would cut off each other's lines."""
    owners: dict[FilePath, Path] = {}
    for path, file in _files(config):
        owner = owners.setdefault(FilePath(file).absolute(), path)
        if owner != path:
            yield path, f"is the same file as {place(owner)}; give each its own"


def _files(config: Config) -> Iterator[tuple[Path, str]]:
    for sink in config.sinks:
        if sink.connection.path:
            yield (*_of(sink), "connection", "path"), sink.connection.path
        yield (*_of(sink), "dead_letters"), str(dead_letters_path(sink))


def _event_hubs(connection: ConnectionSettings) -> Wrong:
    if (connection.connection_string_env is None) == (connection.namespace is None):
        yield "", "needs either `connection_string_env`, or `namespace` with `managed_identity = true`"
    elif connection.namespace is not None:
        if not connection.managed_identity:
            yield "managed_identity", "must be true with `namespace`: there is no other way to sign in to it"
        if connection.hub is None:
            yield "hub", "is missing; name the hub in that namespace"
    elif connection.managed_identity:
        yield "managed_identity", "belongs to `namespace`; a connection string has a key"


def _kafka(connection: ConnectionSettings) -> Wrong:
    if (connection.connection_string_env is None) == (connection.servers is None):
        yield "", "needs either `servers`, or `connection_string_env` for the Kafka endpoint of Event Hubs"
    elif connection.servers is not None and connection.topic is None:
        yield "topic", "is missing"
    if connection.topic is not None and not _TOPIC.fullmatch(connection.topic):
        yield "topic", "cannot be a topic: use letters, digits, `-`, `_` and `.`"
    if (connection.username is None) != (connection.password_env is None):
        yield "", "needs both `username` and `password_env`, or neither"


def _webhook(connection: ConnectionSettings) -> Wrong:
    if (connection.url is None) == (connection.url_env is None):
        yield "", "needs either `url` or `url_env`"
    elif connection.url is not None:
        yield from _url(connection.url)


def _otlp(connection: ConnectionSettings) -> Wrong:
    wrong = [*_webhook(connection)]
    yield from wrong
    if not wrong and connection.url is not None and urlsplit(connection.url).path in ("", "/"):
        yield "url", "has no path; spans usually go to /v1/traces, on port 4318 of a collector"


def _url(text: str) -> Wrong:
    try:
        url = urlsplit(text)
        is_one = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        yield "url", "is not an http(s) URL; write it like https://example.com/calls"
    elif url.query or url.username:
        yield (
            "url",
            "has a query or a user name, which may be a key: put the URL into a variable and name it as `url_env`",
        )


def _application_insights(connection: ConnectionSettings) -> Wrong:
    if connection.client_id is not None and not connection.managed_identity:
        yield "client_id", "belongs to `managed_identity`; without, the connection string alone lets us in"


def _file(connection: ConnectionSettings) -> Wrong:
    if not connection.path:
        yield "path", "is missing; name the JSON Lines file to write"
    if connection.keep < 0:
        yield "keep", "must not be negative"


_RULES: dict[SinkKind, Callable[[ConnectionSettings], Wrong]] = {
    "event_hubs": _event_hubs,
    "kafka": _kafka,
    "webhook": _webhook,
    "file": _file,
    "otlp": _otlp,
    "application_insights": _application_insights,
}


def _in_full(sink: SinkSettings) -> ConnectionSettings:
    """With the variable that is meant where none is named."""
    if sink.kind != "application_insights" or sink.connection.connection_string_env is not None:
        return sink.connection
    return msgspec.structs.replace(sink.connection, connection_string_env=CONNECTION_STRING_VARIABLE)


def _variables(connection: ConnectionSettings, environ: Mapping[str, str]) -> Wrong:
    """The variables that are named must be set. What they hold is never repeated."""
    for name in ("connection_string_env", "password_env", "url_env", "headers_env", "token_env", "secret_env"):
        variable = getattr(connection, name)
        if variable is not None and not environ.get(variable, "").strip():
            if re.fullmatch(r"[A-Z_][A-Z0-9_]*", variable):
                yield name, f"the environment variable {variable} is not set"
            else:
                yield name, "is not a variable that is set; give the name of one, not the secret itself"


def _hub(sink: SinkSettings, environ: Mapping[str, str]) -> Wrong:
    """A connection string must say which hub is meant, if the settings do not."""
    connection = sink.connection
    if connection.connection_string_env is None or sink.kind not in ("event_hubs", "kafka"):
        return
    name = "hub" if sink.kind == "event_hubs" else "topic"
    text = environ[connection.connection_string_env]
    try:
        HubAddress(connection_string=text, hub=getattr(connection, name)).check()
    except ConfigError as error:
        yield "connection_string_env", str(error).replace("set hub", f"set `{name}`")


def _of(sink: SinkSettings) -> Path:
    return ("sinks", f'"{sink.name}"')
