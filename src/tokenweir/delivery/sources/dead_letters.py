"""Where messages are kept that became no record: a JSON Lines file, for a person to look at."""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from ...records import Clock
from .reassembly import DeadLetter

__all__ = ["DeadLetterFile", "DeadLetters", "letter_line"]

_encode = msgspec.json.Encoder().encode


class DeadLetters(Protocol):
    """Where messages are kept that cannot be read."""

    where: str
    """For a person who looks for them."""

    def bury(self, letters: Sequence[DeadLetter]) -> None:
        """They are kept when this returns. `SourceError` or OSError if they are not; some may be, then."""
        ...

    def close(self) -> None:
        """Lets go of everything that is open; raises nothing."""
        ...


class DeadLetterFile:
    """One line a message: ``time, source, place, reason, properties, body``. The body is text, or ``body_base64``."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.where = str(path)
        self._clock = clock

    def bury(self, letters: Sequence[DeadLetter]) -> None:
        """The messages are on disk when this returns. OSError if the disk does not take them."""
        if not letters:
            return
        now = self._clock.now()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with open(fd, "r+b", buffering=0) as file:
            lines = b"".join(letter_line(letter, now) for letter in letters)
            rest = memoryview(b"\n" + lines if _ends_in_half_a_line(fd) else lines)
            while rest:
                rest = rest[file.write(rest) :]
            os.fdatasync(fd)

    def close(self) -> None:
        """There is nothing that stays open."""


def letter_line(letter: DeadLetter, now: datetime) -> bytes:
    """A dead letter as a line of JSON."""
    line: dict[str, object] = {
        "time": now,
        "source": letter.source,
        "place": letter.message.place,
        "reason": letter.reason,
        "properties": letter.message.properties,
    }
    try:
        line["body"] = letter.message.body.decode()
    except UnicodeDecodeError:
        line["body_base64"] = letter.message.body
    return _encode(line) + b"\n"


def _ends_in_half_a_line(fd: int) -> bool:
    """What a crash left of a line must not swallow the next one."""
    size = os.fstat(fd).st_size
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"
