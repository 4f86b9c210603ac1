"""What can never be sent, and messages that cannot be read, as lines of JSON: for a person, and to be sent again.

A line holds all that it takes to send what it is about once more; see ``resending.py``.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from ..records import Clock
from .base import DeadMessage, Rejected

__all__ = ["DeadEvents", "DeadLetter", "DeadMessages", "LetterStore", "StoredLetters", "bury", "remove_letters"]

_log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. An event has ``sink``, ``call_id`` and ``event``; a message has ``source``, ``place`` and ``body``."""

    time: datetime
    sink: str = ""
    source: str = ""
    place: str = ""
    reason: str = ""
    call_id: str = ""
    properties: dict[str, str] = {}
    event: str = ""
    event_base64: bytes | None = None
    """Instead of ``event`` where that is no text, as a part of one may be; or what is sent of it, beside its text."""
    key: str | None = None
    content_type: str | None = None
    body: str = ""
    body_base64: bytes | None = None
    """Instead of ``body`` where that is no text."""

    @property
    def event_bytes(self) -> bytes:
        return self.event.encode() if self.event_base64 is None else self.event_base64

    @property
    def body_bytes(self) -> bytes:
        return self.body.encode() if self.body_base64 is None else self.body_base64


class StoredLetters(Protocol):
    """A file or blob of letters, as it was when it was claimed."""

    def lines(self) -> Iterator[tuple[bytes, int]]:
        """Those that were not ``done`` yet, each with the position behind it."""
        ...

    def done(self, position: int) -> None:
        """Those before the position are taken care of, for good; what is done as a whole is removed."""
        ...


class LetterStore(Protocol):
    """Where letters are. Methods block. `DeliveryError` where it takes none, OSError too where it cannot be read."""

    where: str
    """For a person who looks for them."""

    def append(self, lines: Sequence[bytes]) -> None:
        """They are kept when this returns. After an error some may be, and are there twice after another try."""
        ...

    def waiting(self) -> Iterator[bytes]:
        """The lines of those that were not sent again yet; nobody is kept from adding to them meanwhile."""
        ...

    def claim(self) -> AbstractContextManager[Iterator[StoredLetters]]:
        """All that are there now, for nobody else meanwhile. `Unavailable` where somebody else has them."""
        ...

    def close(self) -> None:
        """Lets go of everything that is open; raises nothing."""
        ...


def remove_letters(store: LetterStore, is_unwanted: Callable[[bytes], bool]) -> int:
    """Takes letters out of a store, by their lines; how many. Raises as the store does; a crash in between leaves
    letters there twice, not fewer."""
    if not any(map(is_unwanted, store.waiting())):
        return 0
    removed = 0
    with store.claim() as claimed:
        for letters in claimed:
            lines = list(letters.lines())
            kept = [line.rstrip(b"\n") for line, _ in lines if not is_unwanted(line)]
            removed += len(lines) - len(kept)
            if kept:
                store.append(kept)
            if lines:
                letters.done(lines[-1][1])
    return removed


class DeadEvents:
    """A sink's events that can never be sent."""

    def __init__(self, store: LetterStore, sink: str, clock: Clock) -> None:
        self.store = store
        self._sink = sink
        self._clock = clock

    def bury(self, rejected: Rejected) -> None:
        """The events are kept when this returns; raises as the store does."""
        now = self._clock.now()
        lines = []
        for event in rejected.events:
            about = {"call_id": event.call_id, "properties": event.properties}
            lines.append(_encode({"time": now, "sink": self._sink, "reason": rejected.reason} | about | event.letter()))
        self.store.append(lines)
        _log.error(
            "sink %s: %d events can never be sent and are in %s: %s",
            self._sink,
            len(rejected.events),
            self.store.where,
            rejected.reason,
        )

    def close(self) -> None:
        self.store.close()


class DeadMessages:
    """Messages that became no record."""

    def __init__(self, store: LetterStore, clock: Clock) -> None:
        self.store = store
        self._clock = clock

    def bury(self, messages: Sequence[DeadMessage]) -> None:
        """They are kept when this returns; raises as the store does."""
        if not messages:
            return
        now = self._clock.now()
        self.store.append([_line(message, now) for message in messages])

    def close(self) -> None:
        self.store.close()


def bury(dead: Sequence[DeadMessage], letters: DeadMessages) -> None:
    """Keeps the messages, and logs where, and why each of them is there. Blocks; raises as ``letters`` does."""
    letters.bury(dead)
    for one in dead:
        _log.error("%s, %s is kept in %s: %s", one.partition, one.message.place, letters.store.where, one.reason)


def _line(dead: DeadMessage, now: datetime) -> bytes:
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
    return _encode(line)
