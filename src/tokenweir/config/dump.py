"""Settings written out again as TOML, with everything secret masked, and each with where it came from."""

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from ..limits.settings import Money
from ..records import Duration, Size
from .coercion import fields
from .model import Config, Loaded
from .setting_path import LISTS

__all__ = ["Line", "MASK", "as_toml", "write"]

MASK = "****"

_SECRET = frozenset({"admin_token", "key", "secret", "subject_secret"})
_PASSWORD_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)|(?<=[?&]password=)[^&\s]+")
_QUERY = re.compile(r"\?.+")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_TEXT_ESCAPES = {ord('"'): '\\"', ord("\\"): "\\\\"} | {code: f"\\u{code:04x}" for code in (*range(0x20), 0x7F)}
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SIZES = {"GB": 1024**3, "MB": 1024**2, "KB": 1024}


class Line(msgspec.Struct, frozen=True):
    """One line of TOML; ``origin`` is the file or variable behind it, ``None`` for a default or a heading."""

    text: str
    origin: str | None = None


def write(loaded: Loaded, *, defaults: bool) -> Iterator[Line]:
    """The configuration as lines of TOML; without ``defaults`` only what somebody set."""
    for table in fields(Config):
        value = getattr(loaded.config, table)
        if table in LISTS:
            for item in value:
                yield Line(f"[[{table}]]", loaded.origins.of((table,)))
                yield from (Line(text) for text in _settings(item, defaults=defaults))
        else:
            lines = [
                Line(f"{name} = {as_toml(_masked(name, setting))}", loaded.origins.of((table, name)))
                for name, setting in _known(value)
            ]
            shown = [line for line in lines if defaults or line.origin]
            if shown:
                yield Line(f"[{table}]")
                yield from shown


def as_toml(value: Any) -> str:
    """A value as TOML writes it; durations and sizes as people do."""
    match value:
        case bool():
            return "true" if value else "false"
        case Duration():
            return f'"{_duration(value)}"'
        case Size():
            return f'"{_size(value)}"'
        case Decimal() | datetime() | Money():
            return f'"{value}"'
        case int() | float():
            return str(value)
        case str():
            return f'"{value.translate(_TEXT_ESCAPES)}"'
        case msgspec.Struct():
            inner = ", ".join(_settings(value, defaults=False))
            return f"{{ {inner} }}" if inner else "{}"
        case dict():
            return f"{{ {', '.join(f'{_key(name)} = {as_toml(inner)}' for name, inner in value.items())} }}"
        case list():
            return f"[{', '.join(as_toml(inner) for inner in value)}]"
    raise TypeError(f"no setting is a {type(value).__name__}")


def _settings(settings: msgspec.Struct, *, defaults: bool) -> list[str]:
    known = fields(type(settings))
    return [
        f"{name} = {as_toml(_masked(name, value))}"
        for name, value in _known(settings)
        if defaults or value not in (known[name].default, [])  # an empty list is the default of every list
    ]


def _known(settings: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    """What is set or has a default; TOML has no null. Empty tables say nothing either."""
    for name in fields(type(settings)):
        value = getattr(settings, name)
        if value is not None and value != {}:
            yield name, value


def _masked(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name in _SECRET:
        return MASK
    if name == "key_sha256":
        return value[:8] + "…"
    if name == "url" and value.startswith("http"):  # of a webhook; its query may be a key
        value = _QUERY.sub(f"?{MASK}", value)
    return _PASSWORD_IN_URL.sub(MASK, value)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else f'"{name.translate(_TEXT_ESCAPES)}"'


def _duration(seconds: Duration) -> str:
    """The largest unit that leaves a whole number: ``5ms``, ``75s``, ``2m``."""
    for unit, length in _UNITS.items():
        if seconds and seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    amount, unit = (seconds * 1000, "ms") if 0 < seconds < 1 else (seconds, "s")
    return f"{amount:.6f}".rstrip("0").rstrip(".") + unit


def _size(count: Size) -> str:
    for unit, length in _SIZES.items():
        if count and count % length == 0:
            return f"{count // length}{unit}"
    return str(int(count))
