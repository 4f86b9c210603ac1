"""Captures on disk: JSON Lines, a line for each moment, readable by the owner only since they hold answers.

What was asked is not in them, and neither are keys: moments hold neither.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from ..errors import ConfigError
from .headers import shown_headers
from .moments import Began, Ended, Head, Moment

__all__ = ["CaptureFile", "read_captures"]

_FORMAT = 1

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Moment).decode


class CaptureFile:
    """A new file; ``add`` writes one call to it. Raises ``ConfigError`` where it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
            os.fchmod(self._file.fileno(), 0o600)  # where it had been there
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from error

    def add(self, moments: Iterable[Moment]) -> None:
        try:
            self._file.writelines(_encode(_kept(moment)) + b"\n" for moment in moments)
            self._file.flush()
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _kept(moment: Moment) -> Moment:
    """Of headers only the harmless ones, also where all were shown."""
    if not isinstance(moment, Head):
        return moment
    headers, withheld = shown_headers(moment.headers, ())
    return msgspec.structs.replace(moment, headers=headers, withheld=moment.withheld + withheld)


def read_captures(path: Path) -> list[list[Moment]]:
    """The calls of a file, each from ``Began`` to ``Ended``. Raises ``ConfigError``."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    calls: list[list[Moment]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            moment = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}, line {number}, is not of a capture that --save wrote: {error}") from error
        if isinstance(moment, Began):
            if moment.format != _FORMAT:
                raise ConfigError(f"{path} has format {moment.format}; this version reads format {_FORMAT}")
            calls.append([])
        elif not calls:
            raise ConfigError(f"{path} does not begin as a capture that --save wrote")
        calls[-1].append(moment)
    if not calls or any(not isinstance(call[-1], Ended) for call in calls):
        raise ConfigError(f"{path} holds no whole capture; it was cut, or is another file")
    return calls
