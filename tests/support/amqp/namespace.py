"""What an Event Hubs namespace keeps, and what can go wrong in it. Used in the emulator's thread only."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from tokenweir.records import SystemClock

from .codec import Timestamp, decode
from .frames import sections

__all__ = ["Faults", "Namespace", "Partition", "Receiver", "Received", "Stored", "offset_of", "without_annotations"]


@dataclass
class Faults:
    """What goes wrong. Counts run down with each delivery they befall; the rest holds until it is set back."""

    busy: int = 0
    """Refuse deliveries with ``com.microsoft:server-busy``."""
    too_large: int = 0
    """Refuse deliveries with ``amqp:link:message-size-exceeded``, whatever their size."""
    poison: bytes | None = None
    """Refuse deliveries that hold these bytes with ``com.microsoft:argument-error``."""
    cut_off: int = 0
    """Drop the connection at the first frame of a delivery; nothing of it is kept."""
    unconfirmed: int = 0
    """Drop the connection once a delivery is kept, before it is confirmed."""
    denied: bool = False
    """The token is fine, and lacks the right to send or listen."""
    refusal: str | None = None
    """Refuse links to hubs with this condition."""
    refused_tokens: bool = False
    """Every token is refused, also one with a good signature."""


class Received(NamedTuple):
    """An event as it lies in its partition."""

    body: bytes
    properties: dict[str, Any]
    key: str | None
    content_type: str | None
    sequence_number: int
    offset: str


class Stored(NamedTuple):
    """An event's own message without header and annotations, and what the hub adds."""

    message: bytes
    key: str | None
    enqueued_at: Timestamp

    def as_received(self, sequence_number: int) -> Received:
        found = dict(sections(self.message))
        properties = found.get(0x73) or []
        content_type = properties[6] if len(properties) > 6 else None
        body = b"".join(value for code, value in sections(self.message) if code == 0x75)
        offset = str(offset_of(sequence_number))
        return Received(body, found.get(0x74) or {}, self.key, content_type, sequence_number, offset)


class Receiver(Protocol):
    """Somebody who is told that there is more in a partition."""

    group: str
    epoch: int | None

    def pump(self) -> None: ...

    def steal(self) -> None: ...


@dataclass
class Partition:
    id: str
    events: list[Stored] = field(default_factory=list)
    receivers: list[Receiver] = field(default_factory=list)

    def add(self, messages: list[bytes], key: str | None) -> None:
        now = moment()
        self.events += [Stored(message, key, now) for message in messages]
        for receiver in list(self.receivers):
            receiver.pump()


class Namespace:
    """Hubs and their partitions."""

    def __init__(self, hubs: Mapping[str, int], max_message_size: int) -> None:
        self.hubs = {name: [Partition(str(number)) for number in range(count)] for name, count in hubs.items()}
        self.groups = {"$default", "tokenweir"}
        self.max_message_size = max_message_size
        self.faults = Faults()
        self.tokens: list[str] = []
        self.deliveries = 0
        self.created_at = moment()
        self._next_partition = 0
        self._is_holding = False
        self._held: list[Callable[[], None]] = []

    def partition(self, hub: str, name: str) -> Partition:
        return next(one for one in self.hubs[hub] if one.id == name)

    def choose(self, hub: str, key: str | None) -> Partition:
        """By key, or the next in turn."""
        partitions = self.hubs[hub]
        if key is not None:
            return partitions[zlib.crc32(key.encode()) % len(partitions)]
        self._next_partition += 1
        return partitions[self._next_partition % len(partitions)]

    def hold(self) -> None:
        self._is_holding = True

    def release(self) -> None:
        self._is_holding = False
        held, self._held = self._held, []
        for act in held:
            act()

    def unless_held(self, act: Callable[[], None]) -> None:
        if self._is_holding:
            self._held.append(act)
        else:
            act()


def moment() -> Timestamp:
    return Timestamp(SystemClock().now().timestamp() * 1000)


def offset_of(sequence_number: int) -> int:
    """Any growing number, and not the sequence number itself, so that mistaking one for the other shows."""
    return 4096 + 40 * sequence_number


def without_annotations(message: bytes) -> tuple[bytes, dict[str, Any]]:
    """An event's message without header and annotations, and the message annotations."""
    at, kept, annotations = 0, [], {}
    while at < len(message):
        (code, value), end = decode(message, at)
        if code == 0x72:
            annotations = value
        elif code not in (0x70, 0x71):
            kept.append(message[at:end])
        at = end
    return b"".join(kept), annotations
