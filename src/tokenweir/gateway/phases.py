"""What may happen to a call, when, and what follows: one table, which the code asks, the docs print and a test walks.

The request's body and the answer may travel at the same time (uploads), so a phase says how far the *call* is; how far
the body is, `RequestBody` knows.
"""

from enum import IntEnum, auto
from typing import NamedTuple

__all__ = ["CELLS", "IGNORED", "NEXT", "Cell", "Event", "Phase"]


class Phase(IntEnum):
    """How far a call is. ``value`` is its column in `NEXT`."""

    NEW = 0
    """Its first byte has come; its head is not read yet."""
    RECEIVING = auto()
    """Its body is held until whole."""
    REFUSING = auto()
    """It is refused; the rest of its body is read, so that the answer is not lost in a reset."""
    ADMITTING = auto()
    """What is left of a shared limit is asked for: one round trip, and no more."""
    DISPATCHING = auto()
    """An upstream that answers is looked for."""
    RESPONDING = auto()
    """An answer is being passed on to the client."""
    DRAINING = auto()
    """The client has left; the answer is read on for its usage."""
    RELAYING = auto()
    """The answer was a 101: frames of a WebSocket pass in both directions."""
    SETTLING = auto()
    """It has ended; its record is being made, and its usage perhaps estimated."""
    COMMITTING = auto()
    """Strict durability: the client's last bytes wait for the record to be on disk."""
    DONE = auto()


class Event(IntEnum):
    """What happens to a call. ``value`` is its row in `NEXT`."""

    HEAD = 0
    """A head was read, and the body has to be held."""
    UPLOAD_HEAD = auto()
    """A head was read, and the body is passed on as it comes."""
    PREFLIGHT = auto()
    """A browser asks beforehand. That is no call, and has no record."""
    REFUSAL_BEFORE_BODY = auto()
    """It is refused, and more of its body is to come."""
    REFUSAL = auto()
    """It is refused, and the client is told at once."""
    BODY_READ = auto()
    """The body that was held is whole and understood."""
    SLICE_EMPTY = auto()
    """This relay's slice of a shared limit is too small for the call."""
    ADMITTED = auto()
    """Every limit has room for it."""
    CLIENT_GONE = auto()
    """The client has left, and nobody reads on."""
    CLIENT_GONE_DRAINED = auto()
    """The client has left, and by policy the answer is read on for its usage."""
    ANSWER_HEAD = auto()
    """An upstream has answered, and that answer is the call's."""
    ANSWER_END = auto()
    """The upstream's answer has ended, whole or broken."""
    SWITCHED = auto()
    """An upstream has answered 101, and the client's connection carries a WebSocket."""
    SOCKET_END = auto()
    """The WebSocket has ended, by either side's will or failure."""
    TIME_LIMIT = auto()
    """Something has lasted too long."""
    OVERRUN = auto()
    """A stream has used more than was reserved for it, and its limit has nothing left."""
    SHUTDOWN = auto()
    """The gateway stops and cannot wait for this call any longer."""
    RECORDED = auto()
    """The journal has taken the record, or has counted it as lost."""
    RECORDED_STRICT = auto()
    """The journal is to take the record, and the client's last bytes wait for the disk."""
    DURABLE = auto()
    """The disk has the record."""
    NOT_DURABLE = auto()
    """The disk does not take the record, or not in time: the answer stays without an end."""


class Cell(NamedTuple):
    """What follows from one event in one phase."""

    next: Phase
    record: str = ""
    """What the record will say of it; empty where this does not decide it."""


# A name of a module is found in a tenth of the time that Python 3.11 takes for a member of an enum.
NEW, RECEIVING, REFUSING, ADMITTING, DISPATCHING, RESPONDING, DRAINING, RELAYING, SETTLING, COMMITTING, DONE = Phase
(
    HEAD,
    UPLOAD_HEAD,
    PREFLIGHT,
    REFUSAL_BEFORE_BODY,
    REFUSAL,
    BODY_READ,
    SLICE_EMPTY,
    ADMITTED,
    CLIENT_GONE,
    CLIENT_GONE_DRAINED,
    ANSWER_HEAD,
    ANSWER_END,
    SWITCHED,
    SOCKET_END,
    TIME_LIMIT,
    OVERRUN,
    SHUTDOWN,
    RECORDED,
    RECORDED_STRICT,
    DURABLE,
    NOT_DURABLE,
) = Event

CELLS: dict[tuple[Phase, Event], Cell] = {
    (NEW, HEAD): Cell(RECEIVING),
    (NEW, UPLOAD_HEAD): Cell(DISPATCHING),
    (NEW, PREFLIGHT): Cell(DONE, "no record"),
    (NEW, SLICE_EMPTY): Cell(ADMITTING),
    (NEW, REFUSAL_BEFORE_BODY): Cell(REFUSING),
    (NEW, REFUSAL): Cell(SETTLING, "`refused`"),
    (RECEIVING, REFUSAL_BEFORE_BODY): Cell(REFUSING),
    (RECEIVING, REFUSAL): Cell(SETTLING, "`refused`"),
    (RECEIVING, BODY_READ): Cell(DISPATCHING),
    (RECEIVING, SLICE_EMPTY): Cell(ADMITTING),
    (RECEIVING, CLIENT_GONE): Cell(SETTLING, "`client_gone`"),
    (RECEIVING, SHUTDOWN): Cell(SETTLING, "`refused`"),
    (REFUSING, REFUSAL_BEFORE_BODY): Cell(REFUSING),
    (REFUSING, REFUSAL): Cell(SETTLING, "`refused`"),
    (REFUSING, CLIENT_GONE): Cell(SETTLING, "`client_gone`"),
    (REFUSING, TIME_LIMIT): Cell(SETTLING, "`refused`"),
    (REFUSING, SHUTDOWN): Cell(SETTLING, "`refused`"),
    (ADMITTING, ADMITTED): Cell(DISPATCHING),
    (ADMITTING, REFUSAL): Cell(SETTLING, "`refused`"),
    (ADMITTING, CLIENT_GONE): Cell(SETTLING, "`client_gone`"),
    (ADMITTING, SHUTDOWN): Cell(SETTLING, "`refused`"),
    (DISPATCHING, REFUSAL): Cell(SETTLING, "`upstream_error` or `refused`, by whose fault it was"),
    (DISPATCHING, CLIENT_GONE): Cell(SETTLING, "`client_gone`"),
    (DISPATCHING, CLIENT_GONE_DRAINED): Cell(DRAINING),
    (DISPATCHING, ANSWER_HEAD): Cell(RESPONDING),
    (DISPATCHING, TIME_LIMIT): Cell(SETTLING, "`timed_out`"),
    (DISPATCHING, SHUTDOWN): Cell(SETTLING, "`aborted`; `refused` if nothing was sent to an upstream"),
    (DISPATCHING, SWITCHED): Cell(RELAYING),
    (RESPONDING, REFUSAL): Cell(SETTLING, "`refused`: of an upload, whose answer came first"),
    (RESPONDING, CLIENT_GONE): Cell(SETTLING, "`client_gone`"),
    (RESPONDING, CLIENT_GONE_DRAINED): Cell(DRAINING),
    (RESPONDING, ANSWER_END): Cell(SETTLING, "`completed`, `upstream_error` or `upstream_broken`"),
    (RESPONDING, TIME_LIMIT): Cell(SETTLING, "`timed_out`; `client_gone` if it was the client that took nothing"),
    (RESPONDING, OVERRUN): Cell(SETTLING, "`aborted`, by a limit with `on_overrun`"),
    (RESPONDING, SHUTDOWN): Cell(SETTLING, "`aborted`"),
    (DRAINING, REFUSAL): Cell(SETTLING, "`client_gone`"),
    (DRAINING, ANSWER_HEAD): Cell(DRAINING),
    (DRAINING, ANSWER_END): Cell(SETTLING, "`client_gone`"),
    (DRAINING, TIME_LIMIT): Cell(SETTLING, "`client_gone`"),
    (DRAINING, SHUTDOWN): Cell(SETTLING, "`client_gone`"),
    (RELAYING, SOCKET_END): Cell(
        SETTLING,
        "`completed`, `client_gone`, `upstream_error`, `upstream_broken`; `aborted` without a journal or a key",
    ),
    (RELAYING, TIME_LIMIT): Cell(SETTLING, "`timed_out`"),
    (RELAYING, SHUTDOWN): Cell(SETTLING, "`aborted`"),
    (SETTLING, RECORDED): Cell(DONE),
    (SETTLING, RECORDED_STRICT): Cell(COMMITTING),
    (SETTLING, NOT_DURABLE): Cell(SETTLING),
    (COMMITTING, DURABLE): Cell(DONE),
    (COMMITTING, NOT_DURABLE): Cell(DONE),
}
"""Every event that changes something. A pair that is neither here nor in `IGNORED` cannot come; if it does, that is
logged, and changes nothing."""

IGNORED: frozenset[tuple[Phase, Event]] = frozenset(
    (phase, event)
    for phase in (SETTLING, COMMITTING, DONE)
    for event in (REFUSAL, REFUSAL_BEFORE_BODY, BODY_READ, CLIENT_GONE, SHUTDOWN, SOCKET_END)
) | {(DONE, DURABLE)}
"""What may come too late and changes nothing."""

NEXT: list[list[Phase | None]] = [
    [CELLS[phase, event].next if (phase, event) in CELLS else None for phase in Phase] for event in Event
]
"""``NEXT[event][phase]``: the table as a call looks it up."""
