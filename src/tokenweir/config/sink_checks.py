"""What ``[[sinks]]`` must be: names that can be a file's, and for each kind what it says itself."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import get_args

from ..apis import SURFACES
from ..delivery.sinks import KINDS, SinkSettings, dead_letters_place
from ..delivery.sinks.formats import SMALLEST_LIMIT
from ..errors import nearest, quoted
from ..records import Duration, Outcome, Size
from .coercion import fields, path_mark, without_none
from .model import Config
from .problems import Problems, too_small, unreadable
from .setting_path import Path, place

__all__ = ["sink_calls", "sink_connections", "sink_events", "sink_files", "sink_large_events", "sink_names"]

_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


def sink_names(config: Config, environ: Mapping[str, str]) -> Problems:
    for sink in config.sinks:
        if not _NAME.fullmatch(sink.name):
            yield (*_of(sink), "name"), "names a cursor file, too: use letters, digits, `-`, `_` and `.`"


def sink_connections(config: Config, environ: Mapping[str, str]) -> Problems:
    for sink in config.sinks:
        path, connection = (*_of(sink), "connection"), sink.connection
        for name, wrong in connection.problems(environ):
            yield ((*path, name) if name else path), wrong
        for name, field in fields(type(connection)).items():
            if name == "max_event_size":
                if connection.max_event_size < SMALLEST_LIMIT:  # type: ignore[attr-defined]
                    yield (*path, name), f"must be at least {SMALLEST_LIMIT} bytes"
            elif without_none(field.type) in (Duration, Size):
                yield from too_small(path, connection, name)
            elif name == "ca_bundle":
                yield from unreadable((*path, name), getattr(connection, name))


def sink_calls(config: Config, environ: Mapping[str, str]) -> Problems:
    """Which calls are sent: surfaces and endings that exist."""
    known = {"apis": [surface.name for surface in SURFACES], "outcomes": list(get_args(Outcome))}
    for sink in config.sinks:
        for name, choices in known.items():
            for given in getattr(sink, name):
                if given not in (*choices, "*"):
                    meant = nearest(given, choices)
                    hint = f"did you mean `{meant}`?" if meant else f"can be {', '.join(choices)}, or * for all"
                    yield (*_of(sink), name), f"{quoted(given)}: {hint}"


def sink_events(config: Config, environ: Mapping[str, str]) -> Problems:
    """What is sent of a call: settings that mean something to other kinds only."""
    known = fields(SinkSettings)
    owners: dict[str, list[str]] = {}
    for kind, connection in KINDS.items():
        for name in connection.events.settings:
            owners.setdefault(name, []).append(kind)
    for sink in config.sinks:
        for name, kinds in owners.items():
            if name not in sink.connection.events.settings and getattr(sink, name) != known[name].default:
                meant = " and ".join(f'"{kind}"' for kind in kinds)
                yield (*_of(sink), name), f'belongs to kind {meant}, and this one is "{sink.kind}"'


def sink_large_events(config: Config, environ: Mapping[str, str]) -> Problems:
    for sink in config.sinks:
        if sink.on_too_large == "pointer" and sink.large_events is None:
            text = "is missing: `pointer` puts events there that are too large; a directory, or a container"
            yield (*_of(sink), "large_events"), text
        elif sink.large_events is not None and sink.on_too_large != "pointer":
            yield (*_of(sink), "large_events"), 'is only used with on_too_large = "pointer"'


def sink_files(config: Config, environ: Mapping[str, str]) -> Problems:
    """Two that write one file would cut off each other's lines."""
    owners: dict[FilePath, Path] = {}
    for path, file in _files(config):
        owner = owners.setdefault(FilePath(file).absolute(), path)
        if owner != path:
            yield path, f"is the same file as {place(owner)}; give each its own"


def _files(config: Config) -> Iterator[tuple[Path, str]]:
    """All that sinks write: each path of a connection that is not only read."""
    for sink in config.sinks:
        for name, field in fields(type(sink.connection)).items():
            if path_mark(field.type) and name != "ca_bundle" and (file := getattr(sink.connection, name)):
                yield (*_of(sink), "connection", name), file
        if "://" not in (place := dead_letters_place(sink)):  # in a container each has a folder of its own
            yield (*_of(sink), "dead_letters"), place


def _of(sink: SinkSettings) -> Path:
    return ("sinks", f'"{sink.name}"')
