"""A reply becomes HTTP/1.1: pieces of bytes, each with the time before it. Touches no socket."""

import gzip
import zlib
from collections.abc import Iterator
from http.client import responses

from .pieces import ReplyPiece
from .request import ReceivedRequest
from .script import Script
from .surface import Reply

__all__ = ["on_the_wire"]


def on_the_wire(reply: Reply, script: Script, request: ReceivedRequest) -> Iterator[ReplyPiece]:
    """The reply as HTTP/1.1: a head, then a body of stated length or in chunks."""
    wait = float(script.first_byte_delay) or None
    if reply.silent:
        yield ReplyPiece(b"", delay=wait)
        return
    chunked = reply.pieces is not None and request.chunkable
    framing = ("transfer-encoding", "chunked") if chunked else None
    if reply.pieces is None:
        body = gzip.compress(reply.body, mtime=0) if script.gzip else reply.body
        framing = ("content-length", str(len(body)))
        pieces = _whole_body(reply, body)
    else:
        pieces = _zipped(reply.pieces, ends=reply.ending == "complete") if script.gzip else reply.pieces
    yield ReplyPiece(_head(reply, framing, request), delay=wait)
    if request.method == "HEAD":
        return
    for piece in _cut(pieces, script.split) if script.split else pieces:
        if chunked and piece.data:
            piece.data = b"%x\r\n%b\r\n" % (len(piece.data), piece.data)
        yield piece
    if chunked and reply.ending == "complete":
        yield ReplyPiece(b"0\r\n\r\n")


def _head(reply: Reply, framing: tuple[str, str] | None, request: ReceivedRequest) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Simulated')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    if framing is not None:
        lines.append(f"{framing[0]}: {framing[1]}")
    if not request.keep_alive:
        lines.append("connection: close")
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def _whole_body(reply: Reply, body: bytes) -> Iterator[ReplyPiece]:
    if reply.ending != "complete":
        yield ReplyPiece(body[: len(body) // 2])
        return
    visible = reply.answer.visible_tokens if reply.answer else 0
    yield ReplyPiece(body, visible=visible, usage=reply.usage)


def _zipped(pieces: Iterator[ReplyPiece], *, ends: bool) -> Iterator[ReplyPiece]:
    """Each event can be unpacked as soon as it has arrived."""
    packer = zlib.compressobj(wbits=31)
    for piece in pieces:
        piece.data = packer.compress(piece.data) + packer.flush(zlib.Z_SYNC_FLUSH)
        yield piece
    if ends:
        yield ReplyPiece(packer.flush())


def _cut(pieces: Iterator[ReplyPiece], size: int) -> Iterator[ReplyPiece]:
    for piece in pieces:
        delay = piece.delay or 0.0
        last = max(0, len(piece.data) - 1) // size * size
        for start in range(0, last, size):
            yield ReplyPiece(piece.data[start : start + size], delay=delay)
            delay = 0.0
        yield ReplyPiece(piece.data[last:], piece.visible, piece.usage, delay)
