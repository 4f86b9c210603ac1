"""Changes to a request's body, only where they must be: a model's name, or a usage that has to be asked for."""

import json
from typing import Any

import msgspec

from ..errors import InvalidBody
from ..wire import Members, boundary_of

__all__ = ["Body", "including_usage", "with_field", "with_included_usage", "with_members", "with_model"]

Body = bytes | list[bytes]
"""A large one is in pieces."""


_Members = dict[str, msgspec.Raw]
_decode_members = msgspec.json.Decoder(_Members).decode
_encode = msgspec.json.Encoder().encode


def with_model(body: bytes, model: str) -> bytes:
    """A JSON body with another ``model``; every other member keeps its bytes. Raises ``InvalidBody``."""
    members = _members(body)
    members["model"] = msgspec.Raw(_encode(model))
    return _encode(members)


def with_included_usage(body: bytes, stream_options: Any) -> bytes:
    """A JSON body that asks for usage: ``stream_options.include_usage = true``.

    Where the client sent no ``stream_options`` the member is put before the closing brace and every
    byte before it stays; else its other options stay. Raises ``InvalidBody``.
    """
    if stream_options is msgspec.UNSET or (stream_options is None and "stream_options" not in _members(body)):
        end = body.rstrip(b" \t\r\n")
        return end[:-1] + b',"stream_options":{"include_usage":true}}'
    members = _members(body)
    members["stream_options"] = msgspec.Raw(including_usage(stream_options))
    return _encode(members)


def including_usage(stream_options: Any) -> bytes:
    """The value of ``stream_options`` that asks for usage; a client's other options stay."""
    given = stream_options if isinstance(stream_options, dict) else {}
    return _encode({**given, "include_usage": True})


def with_members(pieces: list[bytes], members: Members, model: str | None, stream_options: bytes | None) -> list[bytes]:
    """A large body with another ``model`` or ``stream_options`` (``None``: as they are). No byte of the rest is
    copied, but for the pieces where something changes."""
    new = {"model": _encode(model) if model is not None else None, "stream_options": stream_options}
    edits = []
    added = b""
    for name, value in new.items():
        member = members.found.get(name)
        if value is not None and member is not None:
            edits.append((member.start, member.end, value))
        elif value is not None:
            comma = b"" if members.is_empty and not added else b","
            added += b'%b"%b":%b' % (comma, name.encode("ascii"), value)
    if added:
        edits.append((members.end, members.end, added))
    return _edited(pieces, edits)


def with_field(pieces: list[bytes], members: Members, name: str, value: str, content_type: bytes) -> list[bytes]:
    """A form with another value of one field; every other byte stays."""
    field = members.found.get(name)
    if field is not None:
        return _edited(pieces, [(field.start, field.end, value.encode())])
    part = b'\r\n--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b' % (
        boundary_of(content_type) or b"",
        name.encode("ascii"),
        value.encode(),
    )
    return _edited(pieces, [(members.end, members.end, part)])


def _edited(pieces: list[bytes], edits: list[tuple[int, int, bytes]]) -> list[bytes]:
    """``edits``: from where to where, and what stands there instead."""
    changed: list[bytes] = []
    at = 0
    edits.sort()
    for piece in pieces:
        begins, ends = at, at + len(piece)
        while edits and edits[0][0] < ends:
            start, end, value = edits[0]
            changed.append(piece[at - begins : start - begins])
            if value:
                changed.append(value)
            at = min(end, ends)
            if end > ends:
                edits[0] = (ends, end, b"")  # the old value goes on in the next piece
                break
            del edits[0]
        changed.append(piece if at == begins else piece[at - begins :])
        at = ends
    return [piece for piece in changed if piece]


def _members(body: bytes) -> _Members:
    """A body's members, each as its bytes. One that holds half of a surrogate pair (upstreams accept that, the
    strict decoder does not) is read by the lenient one, and its members are written anew."""
    try:
        return _decode_members(body)
    except (ValueError, RecursionError):
        pass
    try:
        members = json.loads(body).items()
        return {
            name.encode(errors="replace").decode(): msgspec.Raw(json.dumps(value).encode()) for name, value in members
        }
    except (ValueError, AttributeError, RecursionError) as error:
        raise InvalidBody("The body could not be read as a JSON object.") from error
