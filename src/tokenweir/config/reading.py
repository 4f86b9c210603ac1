"""Turns the raw tree into settings, finding everything that is wrong with its shape at once.

A table with a mistake in it is left out of the result and named in ``flawed``, so that what is checked
afterwards neither trips over the mistake again nor complains of what it caused.
"""

from collections.abc import Mapping
from typing import Any, get_origin

import msgspec

from ..errors import nearest
from ..records import ChosenBy
from .coercion import chosen_by, convert, expected, fields, item_of, without_none
from .model import Config
from .setting_path import Origins, Path, item_label

__all__ = ["ParsedTree", "read_tree"]


class ParsedTree(msgspec.Struct, frozen=True):
    """The settings that could be read, and what could not."""

    config: Config
    problems: list[str]
    flawed: frozenset[str]
    """The top-level tables in which something is wrong."""


def read_tree(raw: dict[str, Any], origins: Origins) -> ParsedTree:
    """The configuration of a raw tree, as far as it goes."""
    reader = _Reader(origins)
    tables = fields(Config)
    reader.refuse_unknown((), raw, tables)
    values: dict[str, Any] = {}
    flawed = set()
    for table in [name for name in raw if name in tables]:
        before = len(reader.problems)
        kind = tables[table].type
        if item := item_of(kind):
            values[table] = reader.items((table,), item, raw[table])
        else:
            values[table] = reader.table((table,), kind, raw[table])
        if len(reader.problems) > before:
            flawed.add(table)
    return ParsedTree(
        Config(**{table: value for table, value in values.items() if value is not None}),
        reader.problems,
        frozenset(flawed),
    )


class _Reader:
    """Walks a tree and keeps what is wrong; ``None`` stands for what could not be read."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self.problems: list[str] = []

    def table(self, path: Path, kind: type[msgspec.Struct], raw: Any) -> msgspec.Struct | None:
        if not isinstance(raw, dict):
            self._refuse(path, expected(kind, raw))
            return None
        before = len(self.problems)
        known = fields(kind)
        misspelt = self.refuse_unknown(path, raw, known)
        values: dict[str, Any] = {}
        for name, field in known.items():
            if (choice := chosen_by(field.type)) is not None:
                values[name] = self._chosen((*path, name), choice, raw)
            elif name in raw:
                values[name] = self._value((*path, name), field.type, raw[name])
            elif field.required and name not in misspelt:
                self._refuse((*path, name), "is missing")
        return kind(**values) if len(self.problems) == before else None

    def _chosen(self, path: Path, choice: ChosenBy, around: dict[str, Any]) -> msgspec.Struct | None:
        """One of several tables, as a setting beside it says. Those of another one's settings that have their default
        there say nothing."""
        name, *_ = reversed(path)
        kind = around.get(choice.by)
        ours, raw = choice.tables.get(kind) if isinstance(kind, str) else None, around.get(name, {})
        if ours is None or not isinstance(raw, dict):
            if ours is not None:
                self._refuse(path, expected(ours, raw))
            return None
        known = fields(ours)
        kept = dict(raw)
        for setting in [setting for setting in raw if setting not in known]:
            others = {
                other: fields(table)[setting] for other, table in choice.tables.items() if setting in fields(table)
            }
            if others:
                field = next(iter(others.values()))
                if self._value((*path, setting), field.type, kept.pop(setting)) != field.default:
                    meant = " and ".join(f'"{other}"' for other in others)
                    self._refuse((*path, setting), f'belongs to {choice.by} {meant}, and this one is "{kind}"')
        return self.table(path, ours, kept)

    def items(self, path: Path, kind: type[msgspec.Struct], raw: Any) -> list[msgspec.Struct] | None:
        if not isinstance(raw, list):
            self._refuse(path, expected(list, raw))
            return None
        read = [self.table((*path, item_label(item, index)), kind, item) for index, item in enumerate(raw)]
        return [item for item in read if item is not None]

    def refuse_unknown(self, path: Path, raw: Mapping[str, Any], known: Mapping[str, Any]) -> set[str]:
        """Refuses names that are not known; returns the names that were most likely meant."""
        misspelt = set()
        for name in raw:
            if name not in known:
                if meant := nearest(name, known):
                    misspelt.add(meant)
                hint = f"did you mean `{meant}`?" if meant else "not a setting; here can be " + ", ".join(known)
                self._refuse((*path, name), hint)
        return misspelt

    def _value(self, path: Path, kind: Any, raw: Any) -> Any:
        kind = without_none(kind)
        if item := item_of(kind):
            return self.items(path, item, raw)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.table(path, kind, raw)
        if get_origin(kind) is dict and isinstance(raw, dict):
            return {name: self._value((*path, name), str, value) for name, value in raw.items()}
        try:
            return convert(kind, raw)
        except ValueError:
            self._refuse(path, expected(kind, raw))
            return None

    def _refuse(self, path: Path, text: str) -> None:
        self.problems.append(self._origins.say(path, text))
