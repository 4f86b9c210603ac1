"""The chunked transfer coding, read strictly (RFC 9112, section 7.1). A pure machine."""

import re

__all__ = ["ChunkError", "ChunkedReader", "chunk"]

# 16 hex digits would already be beyond any body; extensions are allowed by the standard and used by nobody.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t -~]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*")
_MAX_SIZE_LINE = 256
_MAX_TRAILERS = 8 * 1024


def _size_lines(longest: int) -> list[bytes]:
    """The line before the data of a chunk that has so many bytes altogether; empty where none has."""
    lines = [b""] * longest
    for size in range(1, longest):
        line = b"%x\r\n" % size
        if len(line) + size + 2 < longest:
            lines[len(line) + size + 2] = line
    return lines


# Events have some hundred bytes. To look the line up costs a tenth of reading it.
_SIZE_LINES = _size_lines(4096)


def chunk(data: bytes) -> bytes:
    """``data`` as one chunk; empty data would end the body, so it must not be empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class ChunkError(ValueError):
    """The coding is broken. ``before`` is what of the body came in front of that, in the same bytes."""

    def __init__(self, reason: str, before: bytes) -> None:
        super().__init__(reason)
        self.before = before


class ChunkedReader:
    """A ``Body`` in chunks. Raises ``ChunkError`` at the first byte that breaks the grammar; nothing may be fed
    after that."""

    def __init__(self) -> None:
        self._buffer = b""
        self._is_between = True  # chunks, with nothing of the next one seen
        self._left = 0  # bytes of the present chunk's data still to come, then 2 for its CR LF
        self._in_data = False
        self._in_trailers = False
        self._trailer_bytes = 0
        self.is_whole = False
        self.rest = b""
        self.took_one_chunk = False
        """Whether what was fed last was one chunk, exactly."""

    def feed(self, data: bytes) -> bytes:
        """The body's bytes, without their coding."""
        if self._is_between:
            # What upstreams send and one read brings: a chunk, whole. Its length tells what its first line says, if it
            # is written as we would write it.
            whole = len(data)
            line = _SIZE_LINES[whole] if whole < len(_SIZE_LINES) else b""
            start, end = len(line), whole - 2
            if start and data.startswith(line) and data.endswith(b"\r\n"):
                self.took_one_chunk = True
                return data[start:end]
        self.took_one_chunk = False
        pieces: list[bytes] = []
        try:
            self._read(self._buffer + data, pieces)
        except ValueError as error:
            raise ChunkError(str(error), b"".join(pieces)) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read(self, buffer: bytes, pieces: list[bytes]) -> None:
        position = 0
        while not self.is_whole:
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
        self._buffer = b"" if self.is_whole else buffer[position:]
        self._is_between = not (self._buffer or self._in_data or self._in_trailers)

    def _size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line) if len(line) <= _MAX_SIZE_LINE else None
        if match is None:
            raise ValueError("a chunk's size line is not a hexadecimal number")
        self._left = int(match[1], 16)
        self._in_data = self._left > 0
        self._in_trailers = self._left == 0

    def _trailer(self, line: bytes, following: bytes) -> None:
        if not line:
            self.is_whole, self.rest = True, following
            return
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > _MAX_TRAILERS:
            raise ValueError("the trailers are too long")
        if _TRAILER_LINE.fullmatch(line) is None:
            raise ValueError("a trailer is not a header line")
