"""AMQP 1.0 performatives, frames and the sections of a message (OASIS AMQP 1.0, parts 2 and 3). No sockets."""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from .codec import Described, Ubyte, Uint, Ulong, Ushort, decode, encode

__all__ = ["Frame", "FrameReader", "Performative", "frame", "section", "sections"]

# Code, and the fields in their order with the type of those that are numbers. All of them are written, nulls
# included: the Python SDK reads fields by their index.
_PERFORMATIVES: dict[str, tuple[int, dict[str, type | None]]] = {
    "open": (0x10, {"container_id": None, "hostname": None, "max_frame_size": Uint, "channel_max": Ushort,
                    "idle_time_out": Uint, "outgoing_locales": None, "incoming_locales": None,
                    "offered_capabilities": None, "desired_capabilities": None, "properties": None}),
    "begin": (0x11, {"remote_channel": Ushort, "next_outgoing_id": Uint, "incoming_window": Uint,
                     "outgoing_window": Uint, "handle_max": Uint, "offered_capabilities": None,
                     "desired_capabilities": None, "properties": None}),
    "attach": (0x12, {"name": None, "handle": Uint, "role": None, "snd_settle_mode": Ubyte,
                      "rcv_settle_mode": Ubyte, "source": None, "target": None, "unsettled": None,
                      "incomplete_unsettled": None, "initial_delivery_count": Uint, "max_message_size": Ulong,
                      "offered_capabilities": None, "desired_capabilities": None, "properties": None}),
    "flow": (0x13, {"next_incoming_id": Uint, "incoming_window": Uint, "next_outgoing_id": Uint,
                    "outgoing_window": Uint, "handle": Uint, "delivery_count": Uint, "link_credit": Uint,
                    "available": Uint, "drain": None, "echo": None, "properties": None}),
    "transfer": (0x14, {"handle": Uint, "delivery_id": Uint, "delivery_tag": None, "message_format": Uint,
                        "settled": None, "more": None, "rcv_settle_mode": Ubyte, "state": None, "resume": None,
                        "aborted": None, "batchable": None}),
    "disposition": (0x15, {"role": None, "first": Uint, "last": Uint, "settled": None, "state": None,
                           "batchable": None}),
    "detach": (0x16, {"handle": Uint, "closed": None, "error": None}),
    "end": (0x17, {"error": None}),
    "close": (0x18, {"error": None}),
    "sasl_mechanisms": (0x40, {"mechanisms": None}),
    "sasl_init": (0x41, {"mechanism": None, "initial_response": None, "hostname": None}),
    "sasl_outcome": (0x44, {"code": Ubyte, "additional_data": None}),
}  # fmt: skip
_KINDS = {code: kind for kind, (code, _) in _PERFORMATIVES.items()}
_SASL = 0x40


class Performative:
    """``Performative("flow", handle=0)``: what is not given is null. Fields are attributes."""

    def __init__(self, kind: str, /, **fields: Any) -> None:
        self.kind = kind
        self.code, known = _PERFORMATIVES[kind]
        if unknown := fields.keys() - known.keys():
            raise TypeError(f"{kind} has no field {', '.join(sorted(unknown))}")
        self.fields = {field: _typed(kind, fields.get(field)) for field, kind in known.items()}

    def __getattr__(self, field: str) -> Any:
        try:
            return self.__dict__["fields"][field]
        except KeyError:
            raise AttributeError(field) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Performative) and (self.kind, self.fields) == (other.kind, other.fields)

    def __repr__(self) -> str:
        return f"<{self.kind} { ({field: value for field, value in self.fields.items() if value is not None}) }>"


def _typed(kind: type | None, value: Any) -> Any:
    return value if value is None or kind is None else kind(value)


class Frame(NamedTuple):
    """A frame as it came: a protocol header (``AMQP``, kind, version), or a performative and its payload."""

    header: bytes | None = None
    channel: int = 0
    performative: Performative | None = None
    """None also for an empty frame, which only says that the other side is alive."""
    payload: bytes = b""


def frame(channel: int, performative: Performative, payload: bytes = b"") -> bytes:
    """A whole frame, ready to be written."""
    body = encode(Described(Ulong(performative.code), list(performative.fields.values()))) + payload
    kind = 1 if performative.code >= _SASL else 0
    return struct.pack(">IBBH", 8 + len(body), 2, kind, channel) + body


class FrameReader:
    """Puts frames together from bytes as they arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now."""
        self._buffer += data
        at, buffer, found = 0, self._buffer, []
        while len(buffer) - at >= 8:
            if buffer[at : at + 4] == b"AMQP":
                found.append(Frame(header=bytes(buffer[at : at + 8])))
                at += 8
                continue
            size, offset, _, channel = struct.unpack_from(">IBBH", buffer, at)
            if len(buffer) - at < size:
                break
            found.append(_read(channel, bytes(buffer[at + 4 * offset : at + size])))
            at += size
        del buffer[:at]
        return found


def _read(channel: int, body: bytes) -> Frame:
    if not body:
        return Frame(channel=channel)
    described, end = decode(body)
    kind = _KINDS[described.descriptor]
    fields = dict(zip(_PERFORMATIVES[kind][1], described.value, strict=False))
    return Frame(channel=channel, performative=Performative(kind, **fields), payload=body[end:])


# --- messages ---


def section(code: int, value: Any) -> bytes:
    """One section of a message: 0x72 message annotations, 0x73 properties, 0x74 application properties, 0x75 data…"""
    return encode(Described(Ulong(code), value))


def sections(message: bytes) -> Iterator[tuple[int, Any]]:
    """The code and the value of each section."""
    at = 0
    while at < len(message):
        described, at = decode(message, at)
        yield described.descriptor, described.value
