"""Lets the relative paths of a file start at the file's directory, so that it means the same wherever it is read.

Which settings are paths is said by their types. What a variable sets starts at the working directory, as everything
does that is typed at a prompt. Defaults belong to the file, where there is one.
"""

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import msgspec

from .coercion import fields, item_of, path_mark, without_none
from .model import Config
from .setting_path import LISTS, Origins, Path, item_label

__all__ = ["HOME_VARIABLE", "Anchored", "MovedPath", "anchored", "base_of"]

HOME_VARIABLE = "TOKENWEIR_HOME"


class MovedPath(msgspec.Struct, frozen=True):
    """A setting whose path does not start at the working directory."""

    place: Path
    here: FilePath
    """Where it would be if it did."""
    there: FilePath
    """Where it is."""


class Anchored(msgspec.Struct, frozen=True):
    config: Config
    moved: list[MovedPath]


def base_of(file: FilePath | None, environ: Mapping[str, str]) -> FilePath:
    """Where relative paths start: at ``TOKENWEIR_HOME`` if that is set, else at the file, else here."""
    if home := environ.get(HOME_VARIABLE):
        return FilePath(home)
    return file.parent if file is not None else FilePath()


def anchored(config: Config, base: FilePath, file: FilePath | None, origins: Origins) -> Anchored:
    """The configuration with each path as the working directory sees it."""
    if _is_here(base):
        return Anchored(config, [])
    known = str(file) if file is not None else None
    walk = _Walk(base)
    tables: dict[str, Any] = {}
    for table in fields(Config):
        value = getattr(config, table)
        if table not in LISTS:
            foreign = {name for name in fields(type(value)) if origins.of((table, name)) not in (None, known)}
            tables[table] = walk.table((table,), value, foreign)
        elif origins.of((table,)) in (None, known):
            tables[table] = walk.items((table,), value)
    return Anchored(msgspec.structs.replace(config, **tables), walk.moved)


def _is_here(base: FilePath) -> bool:
    try:
        return base == FilePath() or base.samefile(os.curdir)
    except OSError:
        return False  # one that is not there yet


class _Walk:
    """Through all settings, which finds the paths among them."""

    def __init__(self, base: FilePath) -> None:
        self._base = base
        self.moved: list[MovedPath] = []

    def table(self, place: Path, settings: msgspec.Struct, foreign: set[str]) -> msgspec.Struct:
        changed = {
            name: self._value((*place, name), field.type, getattr(settings, name), settings)
            for name, field in fields(type(settings)).items()
            if name not in foreign
        }
        return msgspec.structs.replace(settings, **changed)

    def items(self, place: Path, items: list[msgspec.Struct]) -> list[msgspec.Struct]:
        return [
            self.table((*place, item_label(msgspec.structs.asdict(item), index)), item, set())
            for index, item in enumerate(items)
        ]

    def _value(self, place: Path, kind: Any, value: Any, around: msgspec.Struct) -> Any:
        mark = path_mark(kind)
        if mark is not None:
            text = value
            if text is None and mark.otherwise is not None:
                text = mark.otherwise.format(name=getattr(around, "name", ""))
            if not text or (path := mark.path_in(text)) is None:
                return value
            there = mark.under(self._base, text)
            if there != text:
                self.moved.append(MovedPath(place, FilePath(path), FilePath(mark.path_in(there) or "")))
            return there
        if item_of(kind) and value:
            return self.items(place, value)
        if isinstance(value, msgspec.Struct) and isinstance(without_none(kind), type):
            return self.table(place, value, set())
        return value
