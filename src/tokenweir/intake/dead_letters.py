"""Where messages are kept that became no record: a JSON Lines file, for a person to look at."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..records import Clock
from .inbox import DeadLetter

__all__ = ["DeadLetterFile"]

_encode = msgspec.json.Encoder().encode


class DeadLetterFile:
    """One line a message: ``time, source, place, reason, properties, body``. The body is text, or ``body_base64``."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock

    def bury(self, letters: Sequence[DeadLetter]) -> None:
        """The messages are on disk when this returns. OSError if the disk does not take them."""
        if not letters:
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with open(fd, "r+b", buffering=0) as file:
            lines = b"".join(_encode(self._line(letter)) + b"\n" for letter in letters)
            rest = memoryview(b"\n" + lines if _ends_in_half_a_line(fd) else lines)
            while rest:
                rest = rest[file.write(rest) :]
            os.fdatasync(fd)

    def _line(self, letter: DeadLetter) -> dict[str, object]:
        line: dict[str, object] = {
            "time": self._clock.now(),
            "source": letter.source,
            "place": letter.message.place,
            "reason": letter.reason,
            "properties": letter.message.properties,
        }
        try:
            line["body"] = letter.message.body.decode()
        except UnicodeDecodeError:
            line["body_base64"] = letter.message.body
        return line


def _ends_in_half_a_line(fd: int) -> bool:
    """What a crash left of a line must not swallow the next one."""
    size = os.fstat(fd).st_size
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"
