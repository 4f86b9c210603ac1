"""Types of settings, and marks in them: durations and sizes as people write them (``30s``, ``1m30s``, ``200ms``,
``64KB``, ``1.5GB``); paths of files, which start at their file where they are relative; and names of kinds, which
decide what else is in their table."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import msgspec

from ..errors import quoted

__all__ = ["ChosenBy", "Duration", "OneOf", "PathMark", "PathText", "Size"]

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?B)?", re.IGNORECASE)


class Duration(float):
    """Seconds. A bare number in a file means seconds too."""

    @classmethod
    def parse(cls, value: str | int | float) -> Self:
        if isinstance(value, (int, float)):
            seconds = float(value)
        else:
            text = value.strip().replace(" ", "")
            parts = _DURATION_PART.findall(text)
            if not parts or "".join(number + unit for number, unit in parts) != text:
                raise ValueError(f"{quoted(value)} is not a duration; write it like 500ms, 30s, 1m30s or 7d")
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"{quoted(value)} is not a duration: it must be finite and not negative")
        return cls(seconds)


class Size(int):
    """Bytes; 1 KB is 1024."""

    @classmethod
    def parse(cls, value: str | int) -> Self:
        if isinstance(value, int):
            if value < 0:
                raise ValueError(f"{quoted(value)} is not a size: it must not be negative")
            return cls(value)
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise ValueError(f"{quoted(value)} is not a size; write it like 65536, 64KB, 10MB or 1.5GB")
        return cls(float(match[1]) * _BYTES[(match[2] or "").upper()])


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
