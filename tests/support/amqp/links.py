"""The two kinds of links: one on which the client sends, one on which it receives."""

import re
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

from .codec import Described, Long, Symbol, Ulong
from .frames import Performative, section, sections
from .namespace import Namespace, Partition, Stored, moment, offset_of, without_annotations
from .nodes import answer

__all__ = ["WINDOW", "Incoming", "Outgoing", "Refused", "Wire"]

WINDOW = 2**31 - 1
"""Of sessions: never what holds anybody up."""

_CREDIT = 1000
_BATCH_FORMAT = 0x80013700
_ACCEPTED = Described(Ulong(0x24), [])
_HUB_PATH = re.compile(r"(?P<hub>[^/]+)(/ConsumerGroups/(?P<group>[^/]+))?(/Partitions/(?P<partition>[^/]+))?")
_SELECTOR = re.compile(r"amqp\.annotation\.(x-opt-[a-z-]+) (>=?) '([^']*)'")
_RUNTIME_METRIC = "com.microsoft:enable-receiver-runtime-metric"
_EPOCH = "com.microsoft:epoch"


class Refused(Exception):
    """A link or a delivery is answered with this error."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        # All three items, the last one null: with fewer the Python SDK fails inside, and waits for ever.
        self.error = Described(Ulong(0x1D), [Symbol(condition), text, None])


class Wire(Protocol):
    """What a link sees of its connection and session."""

    namespace: Namespace
    granted: set[str]
    replies: "dict[str, Outgoing]"
    """For each node, the link that its answers go to."""
    max_frame: int

    def write(self, kind: str, payload: bytes = b"", /, **fields: Any) -> None: ...

    def next_delivery_id(self) -> int: ...

    def session_state(self) -> dict[str, int]: ...


def place_of(address: str, claim: str, wire: Wire) -> re.Match[str]:
    """Takes an address in a hub apart. Raises ``Refused`` if there is no such place, or not for this client."""
    path = urlsplit(address).path.strip("/")
    found = _HUB_PATH.fullmatch(path)
    partitions = wire.namespace.hubs.get(found["hub"], []) if found else []
    if not found or not partitions or found["partition"] not in (None, *(one.id for one in partitions)):
        raise Refused("amqp:not-found", f"The messaging entity '{address}' could not be found.")
    if wire.namespace.faults.refusal is not None:
        raise Refused(wire.namespace.faults.refusal, "The link is refused.")
    if wire.namespace.faults.denied or not any(path.lower().startswith(one) for one in wire.granted):
        need = f"'{claim}' claim(s) are required to perform this operation. Resource: '{address}'."
        raise Refused("amqp:unauthorized-access", f"Unauthorized access. {need}")
    return found


class Incoming:
    """The client sends: events for a hub, or requests for a node."""

    def __init__(self, wire: Wire, said: Performative) -> None:
        self._wire = wire
        self._handle = said.handle
        self._node: str = said.target.value[0]
        self._place = None if self._node.startswith("$") else place_of(self._node, "Send", wire)
        self._first: Performative | None = None
        self._payload = bytearray()
        self._delivery_count = 0
        self._credit = 0

    def attached(self) -> None:
        self._wire.namespace.unless_held(self._top_up)

    def forget(self) -> None:
        pass

    def take(self, said: Performative, payload: bytes) -> bool:
        """One frame of a delivery. False: the connection is to be dropped."""
        faults = self._wire.namespace.faults
        if self._first is None:
            if self._place is not None and faults.cut_off:
                faults.cut_off -= 1
                return False
            self._first = said
        self._payload += payload
        if said.more:
            return True
        delivery_id, message = self._first.delivery_id, bytes(self._payload)
        state = self._state_of(message, self._first.message_format)
        self._first, self._payload = None, bytearray()
        self._delivery_count += 1
        self._credit -= 1
        if self._place is not None and state is _ACCEPTED and faults.unconfirmed:
            faults.unconfirmed -= 1
            return False
        self._wire.namespace.unless_held(lambda: self._settle(delivery_id, state))
        return True

    def _state_of(self, message: bytes, message_format: int) -> Described:
        if self._place is None:
            reply = answer(self._node, message, self._wire.namespace, self._wire.granted)
            self._wire.replies[self._node].deliver(reply)
            return _ACCEPTED
        try:
            self._keep(message, message_format, self._place)
        except Refused as refusal:
            return Described(Ulong(0x25), [refusal.error])
        return _ACCEPTED

    def _keep(self, message: bytes, message_format: int, place: re.Match[str]) -> None:
        namespace = self._wire.namespace
        if namespace.faults.busy:
            namespace.faults.busy -= 1
            text = "The request was terminated because the entity is being throttled. Please wait 4 seconds"
            raise Refused("com.microsoft:server-busy", text)
        if namespace.faults.too_large or len(message) > namespace.max_message_size:
            namespace.faults.too_large = max(0, namespace.faults.too_large - 1)
            text = f"The message (size:{len(message)} bytes) exceeds the limit ({namespace.max_message_size} bytes)."
            raise Refused("amqp:link:message-size-exceeded", text)
        if namespace.faults.poison and namespace.faults.poison in message:
            raise Refused("com.microsoft:argument-error", "The message is not understood.")
        if message_format == _BATCH_FORMAT:
            annotations = dict(sections(message)).get(0x72) or {}
            events = [without_annotations(value)[0] for code, value in sections(message) if code == 0x75]
        else:
            event, annotations = without_annotations(message)
            events = [event]
        key = annotations.get("x-opt-partition-key")
        hub, name = place["hub"], place["partition"]
        (namespace.partition(hub, name) if name else namespace.choose(hub, key)).add(events, key)
        namespace.deliveries += 1

    def _settle(self, delivery_id: int, state: Described) -> None:
        self._wire.write("disposition", role=True, first=delivery_id, last=delivery_id, settled=True, state=state)
        if self._credit < _CREDIT // 2:
            self._top_up()

    def _top_up(self) -> None:
        self._credit = _CREDIT
        link = {"handle": self._handle, "delivery_count": self._delivery_count, "link_credit": _CREDIT}
        self._wire.write("flow", **self._wire.session_state(), **link)


class Outgoing:
    """The client receives: a partition's events, or the answers of a node."""

    def __init__(self, wire: Wire, said: Performative) -> None:
        self._wire = wire
        self._handle = said.handle
        self._credit = 0
        self._delivery_count = 0
        self._partition: Partition | None = None
        self._next = 0
        self.group = ""
        self.epoch: int | None = (said.properties or {}).get(_EPOCH)
        wanted = said.desired_capabilities or []
        self._tells_the_end = _RUNTIME_METRIC in (wanted if isinstance(wanted, list) else [wanted])
        source = said.source.value
        if source[0].startswith("$"):
            wire.replies[source[0]] = self
            return
        place = place_of(source[0], "Listen", wire)
        self.group = (place["group"] or "$default").lower()
        if self.group not in wire.namespace.groups:
            raise Refused("amqp:not-found", f"The messaging entity '{source[0]}' could not be found.")
        self._partition = wire.namespace.partition(place["hub"], place["partition"])
        self._next = _first_wanted(source, self._partition.events)
        self._take_over(self._partition)

    def _take_over(self, partition: Partition) -> None:
        """A receiver with as high an epoch ends all others of its group; one with a lower epoch is refused."""
        others = [one for one in partition.receivers if one.group == self.group]
        highest = max((one.epoch for one in others if one.epoch is not None), default=None)
        if highest is not None and (self.epoch is None or self.epoch < highest):
            raise Refused("amqp:link:stolen", f"A receiver with the higher epoch '{highest}' exists.")
        if self.epoch is not None:
            for one in others:
                one.steal()

    def attached(self) -> None:
        if self._partition is not None:
            self._partition.receivers.append(self)

    def forget(self) -> None:
        if self._partition is not None and self in self._partition.receivers:
            self._partition.receivers.remove(self)

    def steal(self) -> None:
        self.forget()
        error = Refused("amqp:link:stolen", f"A receiver with the higher epoch '{self.epoch}' took over.").error
        self._wire.write("detach", handle=self._handle, closed=True, error=error)

    def credited(self, said: Performative) -> None:
        """The client lets more come."""
        self._credit = (said.delivery_count or 0) + said.link_credit - self._delivery_count
        self.pump()

    def pump(self) -> None:
        """Sends what is there, as far as the credit goes."""
        events = self._partition.events if self._partition is not None else []
        while self._credit > 0 and self._next < len(events):
            message = self._with_annotations(events, self._next)
            self._next += 1
            self._credit -= 1
            self.deliver(message)

    def _with_annotations(self, events: list[Stored], number: int) -> bytes:
        stored = events[number]
        known: dict[Any, Any] = {
            Symbol("x-opt-sequence-number"): Long(number),
            Symbol("x-opt-offset"): str(offset_of(number)),
            Symbol("x-opt-enqueued-time"): stored.enqueued_at,
        }
        if stored.key is not None:
            known[Symbol("x-opt-partition-key")] = stored.key
        end = section(0x71, _end_of(events)) if self._tells_the_end else b""
        return end + section(0x72, known) + stored.message

    def deliver(self, message: bytes) -> None:
        """A whole message, in as many frames as the client's limit needs."""
        number = self._wire.next_delivery_id()
        size = self._wire.max_frame - 64
        common = {"handle": self._handle, "delivery_id": number, "delivery_tag": number.to_bytes(4, "big")}
        for at in range(0, len(message), size):
            more = at + size < len(message)
            piece = message[at : at + size]
            self._wire.write("transfer", piece, message_format=0, settled=True, more=more, **common)
        self._delivery_count += 1


def _end_of(events: list[Stored]) -> dict[Any, Any]:
    last = len(events) - 1
    return {
        Symbol("last_enqueued_sequence_number"): Long(last),
        Symbol("last_enqueued_offset"): str(offset_of(last)),
        Symbol("last_enqueued_time_utc"): events[-1].enqueued_at,
        Symbol("runtime_info_retrieval_time_utc"): moment(),
    }


def _first_wanted(source: list[Any], events: list[Stored]) -> int:
    """The sequence number at which the filter of a source lets a receiver begin."""
    filters = (source[7] or {}) if len(source) > 7 else {}
    for one in filters.values():
        selector = _SELECTOR.fullmatch(one.value if isinstance(one, Described) else one)
        if selector is None:
            raise Refused("amqp:invalid-field", f"The filter {one!r} is not understood.")
        what, comparison, limit = selector.groups()
        if limit == "@latest":
            return len(events)
        values: dict[str, Callable[[int], int]] = {
            "x-opt-offset": offset_of,
            "x-opt-sequence-number": lambda number: number,
            "x-opt-enqueued-time": lambda number: events[number].enqueued_at,
        }
        least = int(limit) + (comparison == ">")
        return next((number for number in range(len(events)) if values[what](number) >= least), len(events))
    return 0
