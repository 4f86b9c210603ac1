"""Where a setting stands and where its value came from, in the words of the person who wrote it."""

from collections.abc import Mapping
from typing import Any

__all__ = ["LISTS", "Origins", "Path", "item_label", "place"]

Path = tuple[str, ...]
"""Names from the outside in; the item of a list is its label: ``("upstreams", '"sweden"', "endpoint")``."""

LISTS = (
    "upstreams",
    "deployments",
    "groups",
    "callers",
    "sinks",
    "prices",
    "exchange_rates",
    "adjustments",
    "reservations",
    "limits",
    "profiles",
)
"""The tables that are written ``[[so]]``."""


def item_label(raw: Any, index: int) -> str:
    """How to point at one table of a list: by its name where it has one, else by its number."""
    name = raw.get("name") if isinstance(raw, Mapping) else None
    return f'"{name}"' if isinstance(name, str) and name else f"#{index + 1}"


def place(path: Path) -> str:
    """``[server] data``, ``[[upstreams]] "sweden" credential.key_env``."""
    table, *rest = path
    text = f"[[{table}]]" if table in LISTS else f"[{table}]"
    separator = " "
    for part in rest:
        is_label = part[:1] in ('"', "#")
        text += (" " if is_label else separator) + part
        separator = " " if is_label else "."
    return text


class Origins:
    """The file or the variable behind each setting that is not a default."""

    def __init__(self, file: str | None, found: Mapping[Path, str]) -> None:
        """``found`` knows the settings of a table one by one, and a list only as a whole."""
        self._file = file
        self._found = found

    def of(self, path: Path) -> str | None:
        """The file's or the variable's name; ``None`` for a default."""
        return self._found.get(path[:2]) or self._found.get(path[:1])

    def say(self, path: Path, text: str) -> str:
        """A problem as a line: who said it, where, what is wrong."""
        origin = self.of(path) or self._file
        if origin != self._file and path in self._found:
            return f"{origin}: {text}"
        where = f"{place(path)}: {text}"
        return f"{origin}: {where}" if origin else where
