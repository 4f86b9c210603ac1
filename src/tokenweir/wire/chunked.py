"""The chunked transfer coding, read strictly (RFC 9112, section 7.1). A pure machine."""

import re

__all__ = ["ChunkedReader", "chunk"]

# 16 hex digits would already be beyond any body; extensions are allowed by the standard and used by nobody.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t -~]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*")
_MAX_SIZE_LINE = 256
_MAX_TRAILERS = 8 * 1024


def chunk(data: bytes) -> bytes:
    """``data`` as one chunk; empty data would end the body, so it must not be empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class ChunkedReader:
    """Feed it bytes; it returns the body's pieces and says where the body ended.

    ``rest`` is ``None`` until the end was seen, then the bytes that follow the body. Raises
    ``ValueError`` at the first byte that breaks the grammar; nothing may be fed after that.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0  # bytes of the present chunk's data still to come, then 2 for its CR LF
        self._in_data = False
        self._in_trailers = False
        self._trailer_bytes = 0
        self.rest: bytes | None = None

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._buffer + data if self._buffer else data
        pieces: list[bytes] = []
        position = 0
        while self.rest is None:
            if self._in_data:
                end = position + self._left
                if len(buffer) < end + 2:
                    # Pass on what is here of the data, but keep the CR LF together for its check.
                    available = buffer[position:end]
                    if available:
                        pieces.append(available)
                        self._left -= len(available)
                        position += len(available)
                    break
                if buffer[end : end + 2] != b"\r\n":
                    raise ValueError("a chunk is longer than its size line says")
                if self._left:
                    pieces.append(buffer[position:end])
                position = end + 2
                self._in_data = False
            else:
                line_end = buffer.find(b"\r\n", position)
                if line_end < 0:
                    waiting = len(buffer) - position - 1  # the last byte may be the CR of its end
                    if waiting > _MAX_SIZE_LINE and not self._in_trailers:
                        raise ValueError("a chunk's size line is too long")
                    if self._in_trailers and self._trailer_bytes + waiting > _MAX_TRAILERS:
                        raise ValueError("the trailers are too long")
                    break
                line = buffer[position:line_end]
                position = line_end + 2
                if self._in_trailers:
                    self._trailer(line, buffer[position:])
                else:
                    self._size(line)
        self._buffer = b"" if self.rest is not None else buffer[position:]
        return pieces

    def _size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line) if len(line) <= _MAX_SIZE_LINE else None
        if match is None:
            raise ValueError("a chunk's size line is not a hexadecimal number")
        self._left = int(match[1], 16)
        self._in_data = self._left > 0
        self._in_trailers = self._left == 0

    def _trailer(self, line: bytes, following: bytes) -> None:
        if not line:
            self.rest = following
            return
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > _MAX_TRAILERS:
            raise ValueError("the trailers are too long")
        if _TRAILER_LINE.fullmatch(line) is None:
            raise ValueError("a trailer is not a header line")
