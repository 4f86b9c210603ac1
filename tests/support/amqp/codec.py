"""AMQP 1.0 values as bytes (OASIS AMQP 1.0, part 1).

Python's own types stand for AMQP's where they can; the classes here stand for the others. A decoded value
encodes to the same value again, if not to the same bytes: lengths are written short or long as they need.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

__all__ = [
    "Array",
    "Described",
    "Long",
    "Symbol",
    "Timestamp",
    "Ubyte",
    "Uint",
    "Ulong",
    "Ushort",
    "decode",
    "encode",
]


class Ubyte(int): ...


class Ushort(int): ...


class Uint(int): ...


class Ulong(int): ...


class Long(int): ...


class Timestamp(int):
    """Milliseconds since 1970."""


class Symbol(str): ...


class Array(list[Any]):
    """Symbols, strings or numbers, all of one type."""


class Described(NamedTuple):
    descriptor: Any
    value: Any


# Constructor and layout of what has a fixed width. A plain int is a 64-bit long.
_FIXED: dict[type, tuple[int, struct.Struct]] = {
    Ubyte: (0x50, struct.Struct(">B")),
    Ushort: (0x60, struct.Struct(">H")),
    Uint: (0x70, struct.Struct(">I")),
    Ulong: (0x80, struct.Struct(">Q")),
    Long: (0x81, struct.Struct(">q")),
    int: (0x81, struct.Struct(">q")),
    Timestamp: (0x83, struct.Struct(">q")),
    float: (0x82, struct.Struct(">d")),
}
# Constructors of a one-byte and a four-byte length.
_SIZED: dict[type, tuple[int, int]] = {
    bytes: (0xA0, 0xB0),
    str: (0xA1, 0xB1),
    Symbol: (0xA3, 0xB3),
    list: (0xC0, 0xD0),
    dict: (0xC1, 0xD1),
    Array: (0xE0, 0xF0),
}


def encode(value: Any) -> bytes:
    """One value with its constructor. TypeError for what AMQP has no type for."""
    kind = type(value)
    if value is None:
        return b"\x40"
    if kind is bool:
        return b"\x41" if value else b"\x42"
    if kind in _FIXED:
        code, layout = _FIXED[kind]
        return bytes((code,)) + layout.pack(value)
    if isinstance(value, Described):
        return b"\x00" + _encode_descriptor(value.descriptor) + encode(value.value)
    if isinstance(value, UUID):
        return b"\x98" + value.bytes
    if kind not in _SIZED:
        raise TypeError(f"no AMQP type for {kind.__name__}")
    if kind in (list, dict, Array):
        count, content = _encode_compound(value, kind)
        return _with_length(_SIZED[kind], content, count)
    return _with_length(_SIZED[kind], value if isinstance(value, bytes) else value.encode())


def _encode_descriptor(descriptor: Any) -> bytes:
    # Every descriptor that AMQP itself has fits into a byte, and peers look for it there.
    is_small = isinstance(descriptor, Ulong) and descriptor < 256
    return bytes((0x53, descriptor)) if is_small else encode(descriptor)


def _with_length(constructors: tuple[int, int], content: bytes, count: int | None = None) -> bytes:
    """The length counts the count, too, where there is one, which is as wide."""
    for constructor, layout in zip(constructors, (struct.Struct(">B"), struct.Struct(">I")), strict=True):
        head = b"" if count is None or count >= 256**layout.size else layout.pack(count)
        size = len(head) + len(content)
        if size < 256**layout.size and (head or count is None):
            return bytes((constructor,)) + layout.pack(size) + head + content
    raise ValueError(f"{len(content)} bytes are too many for AMQP")


def _encode_compound(value: Any, kind: type) -> tuple[int, bytes]:
    if kind is list:
        return len(value), b"".join(map(encode, value))
    if kind is dict:
        return 2 * len(value), b"".join(encode(key) + encode(one) for key, one in value.items())
    if not value:
        return 0, b""
    # One constructor for all elements: strings with long lengths, because one of them may need it.
    element = type(value[0])
    if any(type(one) is not element for one in value):
        raise TypeError("an AMQP array holds values of one type")
    if element in (str, Symbol):
        texts = [one.encode() for one in value]
        encoded = b"".join(struct.pack(">I", len(text)) + text for text in texts)
        return len(value), bytes((_SIZED[element][1],)) + encoded
    if element not in _FIXED:
        raise TypeError(f"no AMQP array of {element.__name__}")
    code, layout = _FIXED[element]
    return len(value), bytes((code,)) + b"".join(map(layout.pack, value))


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The value that begins at ``at``, and where the next one does. ValueError for an unknown constructor."""
    return _decode_as(data[at], data, at + 1)


def _decode_as(code: int, data: bytes, at: int) -> tuple[Any, int]:
    if code == 0x00:
        descriptor, at = decode(data, at)
        value, at = decode(data, at)
        return Described(descriptor, value), at
    if code in _CONSTANTS:
        return _CONSTANTS[code](), at
    if code in _NUMBERS:
        make, layout = _NUMBERS[code]
        return make(layout.unpack_from(data, at)[0]), at + layout.size
    if code == 0x98:
        return UUID(bytes=bytes(data[at : at + 16])), at + 16
    if code not in _LENGTHS:
        raise ValueError(f"no AMQP type has the constructor {code:#04x}")
    kind, width = _LENGTHS[code]
    start = at + width
    end = start + int.from_bytes(data[at:start], "big")
    if end > len(data):
        raise ValueError("an AMQP value is cut off")
    if kind in (list, dict, Array):
        return _decode_compound(kind, data, start, width), end
    content = data[start:end]
    return content if kind is bytes else kind(content.decode()), end


def _decode_compound(kind: type, data: bytes, at: int, width: int) -> Any:
    count = int.from_bytes(data[at : at + width], "big")
    at += width
    values = []
    constructor = data[at] if kind is Array and count else None
    at += constructor is not None
    for _ in range(count):
        value, at = decode(data, at) if constructor is None else _decode_as(constructor, data, at)
        values.append(value)
    return dict(zip(values[::2], values[1::2], strict=True)) if kind is dict else kind(values)


_CONSTANTS: dict[int, Callable[[], Any]] = {
    0x40: lambda: None,
    0x41: lambda: True,
    0x42: lambda: False,
    0x43: lambda: Uint(0),
    0x44: lambda: Ulong(0),
    0x45: list,
}
_NUMBERS: dict[int, tuple[Callable[[Any], Any], struct.Struct]] = {
    **{code: (kind, layout) for kind, (code, layout) in _FIXED.items() if kind is not int},
    0x51: (int, struct.Struct(">b")),
    0x52: (Uint, struct.Struct(">B")),
    0x53: (Ulong, struct.Struct(">B")),
    0x54: (int, struct.Struct(">b")),
    0x55: (Long, struct.Struct(">b")),
    0x56: (bool, struct.Struct(">B")),
    0x61: (int, struct.Struct(">h")),
    0x71: (int, struct.Struct(">i")),
    0x72: (float, struct.Struct(">f")),
}
_LENGTHS = {code: (kind, width) for kind, pair in _SIZED.items() for code, width in zip(pair, (1, 4), strict=True)}
