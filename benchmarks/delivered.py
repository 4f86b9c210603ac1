"""What has arrived in a hub, held against what was sent: what is missing, what came twice, in which order."""

import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from .hub import KeptEvent
from .processes import ROOT

__all__ = ["Arrival", "Delivery", "check", "read_arrivals"]

_decode_block = msgspec.msgpack.Decoder(list[KeptEvent]).decode


class _Record(msgspec.Struct):
    """What is looked at of an event in the shape ``tokenweir``."""

    call_id: str
    started_at: datetime
    replica: str = ""
    seq: int = 0
    caller: str | None = None
    upstream_request_id: str | None = None
    latency_ms: float = 0.0


_decode_record = msgspec.json.Decoder(_Record).decode


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event in the hub."""

    call_id: str
    upstream_id: str | None
    line: tuple[str, str | None]
    """Replica and caller, among whose events there is an order."""
    seq: int
    partition: str
    ended: float
    """When the call did, in seconds since 1970."""
    came: float
    """When the hub confirmed it, to the millisecond."""

    @property
    def lag(self) -> float:
        return self.came - self.ended


@dataclass(frozen=True)
class Delivery:
    """What became of the calls."""

    arrivals: int
    missing: int
    unknown: int
    """Events of calls that nobody made."""
    repeated: int
    """Events that had come before."""
    out_of_order: int
    """Events, repeated ones left out, behind one of the same caller and relay that was written later."""
    astray: int
    """Callers whose events lie in several partitions."""

    @property
    def is_perfect(self) -> bool:
        return not (self.missing or self.unknown or self.out_of_order or self.astray)


def read_arrivals(files: Iterable[Path]) -> Iterator[Arrival]:
    """Everything that hubs kept, one file after the other, each partition in its order."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.amqp.codec import Timestamp
    from support.amqp.namespace import Stored

    for path in files:
        for partition, enqueued_ms, message in _kept(path):
            body = Stored(message, None, Timestamp(enqueued_ms)).as_received(0).body
            record = _decode_record(body)
            yield Arrival(
                call_id=record.call_id,
                upstream_id=record.upstream_request_id,
                line=(record.replica, record.caller),
                seq=record.seq,
                partition=partition,
                ended=record.started_at.timestamp() + record.latency_ms / 1000,
                came=enqueued_ms / 1000,
            )


def check(arrivals: Sequence[Arrival], calls: Collection[str]) -> Delivery:
    """Arrivals in the order of `read_arrivals`, and the ids of all calls that were made."""
    came = Counter(arrival.call_id for arrival in arrivals)
    newest: dict[tuple[str, str | None], int] = {}
    partitions = defaultdict(set)
    seen: set[str] = set()
    out_of_order = 0
    for arrival in arrivals:
        partitions[arrival.line].add(arrival.partition)
        if arrival.call_id in seen:
            continue
        seen.add(arrival.call_id)
        out_of_order += arrival.seq < newest.get(arrival.line, -1)
        newest[arrival.line] = max(arrival.seq, newest.get(arrival.line, -1))
    return Delivery(
        arrivals=len(arrivals),
        missing=len(set(calls) - seen),
        unknown=len(seen - set(calls)),
        repeated=sum(came.values()) - len(came),
        out_of_order=out_of_order,
        astray=sum(len(found) > 1 for found in partitions.values()),
    )


def _kept(path: Path) -> Iterator[KeptEvent]:
    with path.open("rb") as file:
        while head := file.read(4):
            yield from _decode_block(file.read(int.from_bytes(head, "big")))
