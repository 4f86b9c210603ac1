"""Where events are kept that can never be sent, and messages that cannot be read: JSON lines, for a person."""

import logging
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from ..records import Clock
from .base import DeadMessage, Rejected, Unavailable
from .json_lines import LinesFile

__all__ = ["DeadEvents", "DeadMessageFile", "DeadMessages", "bury", "dead_message_line"]

_log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


class DeadEvents:
    """A sink's file. One line an event: ``time, sink, reason, call_id, properties, event``, the event as text."""

    def __init__(self, path: Path, sink: str, clock: Clock) -> None:
        self.path = path
        self._sink = sink
        self._clock = clock

    def bury(self, rejected: Rejected) -> None:
        """The events are on disk when this returns. `Unavailable` if the disk does not take them."""
        lines = [
            _encode(
                {
                    "time": self._clock.now(),
                    "sink": self._sink,
                    "reason": rejected.reason,
                    "call_id": event.call_id,
                    "properties": event.properties,
                    "event": event.text(),
                }
            )
            for event in rejected.events
        ]
        file = LinesFile(self.path)
        try:
            file.append(lines)
        except OSError as error:
            raise Unavailable(f"{self.path} takes no dead letters: {error.strerror}") from error
        finally:
            file.close()
        _log.error(
            "sink %s: %d events can never be sent and are in %s: %s",
            self._sink,
            len(rejected.events),
            self.path,
            rejected.reason,
        )


class DeadMessages(Protocol):
    """Where messages are kept that cannot be read."""

    where: str
    """For a person who looks for them."""

    def bury(self, messages: Sequence[DeadMessage]) -> None:
        """They are kept when this returns. `DeliveryError` or OSError if they are not; some may be, then."""
        ...

    def close(self) -> None:
        """Lets go of everything that is open; raises nothing."""
        ...


class DeadMessageFile:
    """One line a message: ``time, source, place, reason, properties, body``. The body is text, or ``body_base64``."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.where = str(path)
        self._clock = clock

    def bury(self, messages: Sequence[DeadMessage]) -> None:
        """The messages are on disk when this returns. OSError if the disk does not take them."""
        if not messages:
            return
        now = self._clock.now()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with open(fd, "r+b", buffering=0) as file:
            lines = b"".join(dead_message_line(message, now) for message in messages)
            rest = memoryview(b"\n" + lines if _ends_in_half_a_line(fd) else lines)
            while rest:
                rest = rest[file.write(rest) :]
            os.fdatasync(fd)

    def close(self) -> None:
        """There is nothing that stays open."""


def bury(dead: Sequence[DeadMessage], letters: DeadMessages) -> None:
    """Keeps the messages, and logs where, and why each of them is there. Blocks; raises as ``letters`` does."""
    letters.bury(dead)
    for one in dead:
        _log.error("%s, %s is kept in %s: %s", one.partition, one.message.place, letters.where, one.reason)


def dead_message_line(dead: DeadMessage, now: datetime) -> bytes:
    """A message as a line of JSON."""
    line: dict[str, object] = {
        "time": now,
        "source": dead.partition,
        "place": dead.message.place,
        "reason": dead.reason,
        "properties": dead.message.properties,
    }
    try:
        line["body"] = dead.message.body.decode()
    except UnicodeDecodeError:
        line["body_base64"] = dead.message.body
    return _encode(line) + b"\n"


def _ends_in_half_a_line(fd: int) -> bool:
    """What a crash left of a line must not swallow the next one."""
    size = os.fstat(fd).st_size
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"
