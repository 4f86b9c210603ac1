"""Puts a configuration together: file, then variables, then the proxy function's; read, then checked."""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import msgspec

from ..errors import ConfigError
from .advisories import notes, notes_on_moved
from .anchoring import anchored, base_of
from .checks import check
from .extras import missing_extras
from .model import Loaded, is_consumers
from .reading import read_tree
from .setting_path import LISTS, Origins, Path
from .sink_variables import (
    HUB_VARIABLE,
    endpoint_variable,
    proxy_variable_problems,
    sink_from_otel_variables,
    sink_from_proxy_variables,
)
from .sources import DEFAULT_FILE, read_environment, read_file, variable_name
from .upstream_variables import upstream_from_variables

__all__ = ["ConfigSource", "InvalidConfig", "examine", "load"]


class InvalidConfig(ConfigError):
    """All that is wrong with a configuration; the message has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n  ".join([f"the configuration cannot be used ({count}):", *problems]))


class ConfigSource(msgspec.Struct, frozen=True):
    """Where a process has its configuration from, so that a reload reads the same."""

    file: FilePath | None = None
    """``None``: ``tokenweir.toml`` in the working directory, if there is one."""
    options: dict[str, str] = {}
    """What the command line says, under the names of the variables, over which it wins."""

    def load(self, environ: Mapping[str, str], *, checked: bool = True) -> Loaded:
        """As `load`."""
        return load(self.file, {**environ, **self.options}, checked=checked)


def load(path: FilePath | None, environ: Mapping[str, str], *, checked: bool = True, extras: bool = True) -> Loaded:
    """The configuration of a file (default: ``tokenweir.toml`` here, if there is one) and the environment.

    Relative paths in the file start at its directory, those in variables at the working directory.

    Raises InvalidConfig with every problem at once. With ``checked = False`` only mistakes in the writing
    count: the commands that read the books, or make the first key, do not need what a gateway needs.
    ``extras = False`` is for processes that leave the books and the sinks to others, and need not have their packages.
    """
    loaded, mistakes = _put_together(path, environ, extras=extras)
    problems = loaded.problems if checked else mistakes
    if problems:
        raise InvalidConfig(problems)
    return loaded


def examine(path: FilePath | None, environ: Mapping[str, str]) -> Loaded:
    """As ``load``, with the problems beside what could be read, and for what it is: of a consumer's, nothing is missed
    that only a gateway needs. A file that is not TOML still raises."""
    return _put_together(path, environ, by_kind=True)[0]


def _put_together(
    path: FilePath | None, environ: Mapping[str, str], *, extras: bool = True, by_kind: bool = False
) -> tuple[Loaded, list[str]]:
    """What was loaded, and the mistakes in the writing among its problems."""
    file = path or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    raw = read_file(file) if file else {}
    found = {where: str(file) for where in _paths_in(raw)}
    variables, mistakes = read_environment(environ)
    for where, value in variables.items():
        _put(raw, where, value)
        found[where] = variable_name(where)
    if not raw.get("upstreams") and (upstream := upstream_from_variables(environ)):
        raw["upstreams"] = [upstream.table]
        found["upstreams",] = upstream.variable
    # Not beside a file: whoever wrote one decides there what is kept of prompts, and where it is sent.
    if file is None and not raw.get("sinks") and (sink := sink_from_proxy_variables(environ)):
        raw["sinks"] = [sink]
        found["sinks",] = HUB_VARIABLE
        mistakes += proxy_variable_problems(environ)
        if ("journal", "content") not in found:
            _put(raw, ("journal", "content"), "full")
            found["journal", "content"] = HUB_VARIABLE
    _put_spans(raw, found, environ)
    mistakes += _put_prices(raw, base_of(file, environ))
    origins = Origins(str(file) if file else None, found)
    reading = read_tree(raw, origins)
    mistakes += reading.problems
    placed = anchored(reading.config, base_of(file, environ), file, origins)
    problems = mistakes + check(
        placed.config, environ, origins, reading.flawed, serves=not (by_kind and is_consumers(placed.config))
    )
    if extras:
        problems += [origins.say(where, text) for where, text in missing_extras(placed.config, environ)]
    said = [*notes(placed.config, environ), *notes_on_moved(placed.moved)]
    return Loaded(placed.config, file, origins, said, problems), mistakes


def _put_spans(raw: dict[str, Any], found: dict[Path, str], environ: Mapping[str, str]) -> None:
    """Also beside a file, as spans hold no prompts: a sink for them, where there is none and the variables name one."""
    sinks = raw.get("sinks", [])
    variable, sink = endpoint_variable(environ), sink_from_otel_variables(environ)
    if variable is None or sink is None or not isinstance(sinks, list):
        return
    if not any(isinstance(one, dict) and one.get("kind") == sink["kind"] for one in sinks):
        raw["sinks"] = [*sinks, sink]
        found.setdefault(("sinks",), variable)


def _put_prices(raw: dict[str, Any], base: FilePath) -> list[str]:
    """The rows of ``pricing.files`` behind those of the file itself; what else stands in them is a mistake."""
    pricing = raw.get("pricing")
    names = pricing.get("files") if isinstance(pricing, dict) else None
    mistakes: list[str] = []
    for name in names if isinstance(names, list) else []:
        if not isinstance(name, str):
            continue  # which is said where its type is read
        tables = read_file(base / name)
        rows, before = tables.pop("prices", []), raw.get("prices", [])
        if tables or not isinstance(rows, list):
            mistakes.append(f"{base / name}: a file of prices has [[prices]] and nothing else")
        elif isinstance(before, list):
            raw["prices"] = [*before, *rows]
    return mistakes


def _paths_in(raw: dict[str, Any]) -> list[Path]:
    """What a file sets: the settings of a table one by one, a list as a whole."""
    paths: list[Path] = [(table,) for table in raw if table in LISTS]
    for table, settings in raw.items():
        if table not in LISTS and isinstance(settings, dict):
            paths += [(table, name) for name in settings]
    return paths


def _put(raw: dict[str, Any], where: Path, value: Any) -> None:
    table, *names = where
    if not names:
        raw[table] = value
    elif isinstance(settings := raw.setdefault(table, {}), dict):
        settings[names[0]] = value
