"""Marks in the types of settings: paths of files, which start at their file where they are relative; and names of
kinds, which decide what else is in their table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

__all__ = ["ChosenBy", "OneOf", "PathMark", "PathText"]


class PathMark(msgspec.Struct, frozen=True):
    """Stands in the type of a setting that is a path, or that holds one."""

    scheme: str = ""
    """What stands before the path where the setting is an address, such as ``duckdb:``."""
    otherwise: str | None = None
    """What is meant where nothing is set; ``{name}`` is the name of the table."""

    def path_in(self, text: str) -> str | None:
        """The path in a setting's text; ``None`` where it has none, such as the address of a server."""
        path = text.removeprefix(self.scheme)
        return path if text.startswith(self.scheme) and path and "://" not in path else None

    def under(self, base: Path, text: str) -> str:
        """The text with its path, if that is relative, starting at ``base``. An absolute one stays as it is."""
        path = self.path_in(text)
        return text if path is None else f"{self.scheme}{base / path}"


PathText = Annotated[str, PathMark()]
"""A text to everybody but who reads a configuration."""


class OneOf(msgspec.Struct, frozen=True):
    """Stands in the type of a setting that is one of these names, looked up when it is read."""

    names: Mapping[str, object]


class ChosenBy(msgspec.Struct, frozen=True):
    """Stands in the type of a table inside another, whose setting ``by`` says which of ``tables`` it is."""

    by: str
    tables: Mapping[str, type[msgspec.Struct]]
