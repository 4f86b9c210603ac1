"""A body that is held until whole: unpacked if it came packed, read without holding up the loop, and counted.

A small one is joined and decoded at once. A larger one stays in the pieces it came in, so that there is one copy of
it; its members are looked for as they arrive, for a few milliseconds at a time, and the rest of that happens between
other calls' turns (`read`).
"""

import zlib
from collections import deque
from collections.abc import Callable

from ..errors import BodyTooLarge, BuffersFull, InvalidBody, UnsupportedEncoding
from ..wire import FormReader, Members, ObjectReader
from .accept import BOM

__all__ = ["SMALL", "BodyBudget", "HeldBody", "encoding_of"]

# The strict decoder reads this much within half a millisecond.
SMALL = 256 * 1024
# What is read or unpacked between two looks at the clock: well under a millisecond of the worst.
_STEP = 4 * 1024
_UNPACKED_STEP = 64 * 1024
# Pieces smaller than the first are gathered up to the second: each has an overhead of 33 bytes and a write of its own.
_SMALL_PIECE = 16 * 1024
_PIECE = 64 * 1024

_WINDOWS = {b"gzip": zlib.MAX_WBITS | 16, b"x-gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}


def encoding_of(value: bytes | None) -> bytes | None:
    """How a body is packed; ``None`` if it is not. Raises ``UnsupportedEncoding``."""
    encoding = (value or b"").strip().lower()
    if encoding in (b"", b"identity"):
        return None
    if encoding not in _WINDOWS:
        raise UnsupportedEncoding(
            "The body of this call has to be read, and can be where its Content-Encoding is gzip or deflate. "
            "Send it as it is, or packed so."
        )
    return encoding


class BodyBudget:
    """What the bodies of all calls of a process may take together, in bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.refused = 0
        self.reading = 0
        """Bodies that are being read piece by piece, and share the time of a turn."""

    def __repr__(self) -> str:
        return f"<BodyBudget {self.used} of {self.limit} bytes>"

    def take(self, size: int) -> None:
        """Raises ``BuffersFull``, with nothing taken."""
        self.must_have(size)
        self.used += size

    def must_have(self, size: int) -> None:
        """Raises ``BuffersFull`` where there is no room for ``size`` bytes at present."""
        if self.used + size > self.limit:
            self.refused += 1
            raise BuffersFull(
                f"This gateway holds {self.used} bytes of requests at present, and may hold {self.limit} "
                "(server.max_buffered). Send the request again in a moment."
            )

    def give_back(self, size: int) -> None:
        self.used -= size


class HeldBody:
    """One body. ``add`` as it comes, ``end``, ``read`` until it says so; then ``pieces`` and ``members``."""

    def __init__(
        self,
        budget: BodyBudget,
        most: int,
        too_large: Callable[[], BodyTooLarge],
        encoding: bytes | None,
        reader: ObjectReader | FormReader,
    ) -> None:
        """``most`` is what it may have once it is unpacked, in bytes."""
        self.pieces: list[bytes] = []
        self.size = 0
        """Bytes of the body itself, unpacked."""
        self.members: Members | None = None
        self.error: ValueError | None = None
        """Why there are no ``members``."""
        self._budget = budget
        self._taken = 0
        self._too_large = too_large
        self._most = most
        self._reader: ObjectReader | FormReader | None = reader
        self._shares = False
        self._tail = bytearray()
        self._read_pieces = 0
        self._read_bytes = 0
        self._is_whole = False
        # where it came packed
        self._encoding = encoding
        self._inflater = zlib.decompressobj(_WINDOWS.get(encoding or b"", zlib.MAX_WBITS))
        self._has_begun = False
        self._packed: deque[bytes] = deque()

    @property
    def is_small(self) -> bool:
        return self.size <= SMALL

    def add(self, data: bytes) -> None:
        """Raises ``BuffersFull`` or ``BodyTooLarge``."""
        if self._encoding is None:
            self._hold(data)
        else:
            self._take(len(data))
            self._packed.append(data)

    def end(self) -> None:
        self._is_whole = True
        if self._encoding is None:
            self._flush()

    def read(self, seconds: float, monotonic: Callable[[], float]) -> bool:
        """Unpacks and reads, as far as it goes or for ``seconds``, which it shares with all other bodies that are
        read at present. True once all is done. Raises ``InvalidBody``, ``BodyTooLarge`` or ``BuffersFull``."""
        if not self._shares and not self.is_small:
            self._shares = True
            self._budget.reading += 1
        until = monotonic() + seconds / max(1, self._budget.reading)
        while self._packed:
            self._unpack_step()
            if monotonic() >= until:
                return False
        if self._encoding is not None and self._is_whole:
            self._finish_unpacking()
        if not self.is_small:
            while self._read_step():
                if monotonic() >= until:
                    return False
        if self._is_whole:
            self._leave()
            if self._reader is not None and not self.is_small:
                self._finish_reading(self._reader)
        return self._is_whole

    def release(self) -> None:
        """The body is not needed any more."""
        self._leave()
        self._budget.give_back(self._taken)
        self._taken = 0
        self.pieces = []
        self._packed.clear()
        self._reader = None

    # --- inside ---

    def _leave(self) -> None:
        if self._shares:
            self._shares = False
            self._budget.reading -= 1

    def _take(self, size: int) -> None:
        self._budget.take(size)
        self._taken += size

    def _hold(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._most:
            raise self._too_large()
        self._take(len(data))
        if len(data) >= _SMALL_PIECE:
            self.pieces.append(bytes(self._tail) + data if self._tail else data)
            self._tail = bytearray()
            return
        self._tail += data
        if len(self._tail) >= _PIECE:
            self._flush()

    def _flush(self) -> None:
        if self._tail:
            self.pieces.append(bytes(self._tail))
            self._tail = bytearray()

    def _unpack_step(self) -> None:
        data = self._packed.popleft()
        if not self._has_begun and self._encoding == b"deflate":
            # means zlib's format (RFC 9110, 8.4.1.2); some clients send it bare
            if len(data) < 2 and self._packed:
                self._packed[0] = data + self._packed[0]
                return
            if data[:1] and (data[0] & 0x0F != 8 or int.from_bytes(data[:2], "big") % 31):
                self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._has_begun = True
        inflater = self._inflater
        if inflater.eof:
            if self._encoding == b"deflate":
                raise self._broken("something follows its end")
            inflater = self._inflater = zlib.decompressobj(_WINDOWS[b"gzip"])  # another member (RFC 1952, 2.2)
        try:
            unpacked = inflater.decompress(data, _UNPACKED_STEP)
        except zlib.error as error:
            raise self._broken(str(error)) from error
        rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        self._budget.give_back(len(data) - len(rest))
        self._taken -= len(data) - len(rest)
        if rest:
            self._packed.appendleft(rest)
        if unpacked:
            self._hold(unpacked)

    def _finish_unpacking(self) -> None:
        while not self._inflater.eof and self._has_begun:
            try:
                unpacked = self._inflater.decompress(self._inflater.unconsumed_tail, _UNPACKED_STEP)
            except zlib.error as error:
                raise self._broken(str(error)) from error
            if not unpacked:
                raise self._broken("it is cut off")
            self._hold(unpacked)
        self._encoding = None
        self._flush()

    def _broken(self, why: str) -> InvalidBody:
        encoding = (self._encoding or b"").decode("ascii")
        return InvalidBody(f"The body could not be unpacked ({why}); its Content-Encoding says {encoding}.")

    def _read_step(self) -> bool:
        """Whether there was anything to read."""
        reader = self._reader
        if reader is None or self._read_pieces == len(self.pieces):
            return False
        piece = self.pieces[self._read_pieces]
        if not self._read_pieces and not self._read_bytes and piece.startswith(BOM):
            piece = self.pieces[0] = piece[len(BOM) :]
        step = piece[self._read_bytes : self._read_bytes + _STEP]
        self._read_bytes += len(step)
        if self._read_bytes == len(piece):
            self._read_pieces += 1
            self._read_bytes = 0
        try:
            reader.feed(step)
        except ValueError as error:
            self._reader, self.error = None, error
        return True

    def _finish_reading(self, reader: ObjectReader | FormReader) -> None:
        self._reader = None
        try:
            self.members = reader.finish()
        except ValueError as error:
            self.error = error
