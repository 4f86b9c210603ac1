"""Reads a compressed answer: unpacks a copy as it passes and shows that to another meter."""

import zlib
from collections.abc import Callable

from .measurement import Measurement
from .meter import Meter

__all__ = ["InflatingMeter"]

# A few bytes can unpack to a thousand times as many. They are handed on in portions, so that the inner
# meter can fold between them.
_PORTION = 64 * 1024

_GZIP = zlib.MAX_WBITS | 16
_ZLIB = zlib.MAX_WBITS
_BARE = -zlib.MAX_WBITS


class InflatingMeter(Meter):
    """Shows ``inner`` the unpacked bytes of ``gzip`` or ``deflate``, up to the first bad one."""

    def __init__(self, inner: Meter, encoding: str) -> None:
        self._inner = inner
        self._encoding = encoding
        self._head = b""
        self._window: int | None = None
        self._inflater = zlib.decompressobj()
        self._failure: str | None = None

    def feed(self, piece: bytes) -> None:
        if self._window is None:
            self._head += piece
            if len(self._head) < 2:
                return
            self._window = _window(self._encoding, self._head)
            self._inflater = zlib.decompressobj(self._window)
            piece = self._head
        while piece and self._failure is None:
            piece = self._unpack(piece, self._window)

    def finish(self) -> Measurement:
        if self._failure is None:
            self._show(self._inflater.flush)
        measurement = self._inner.finish()
        if self._failure is not None:
            measurement.unreadable, measurement.reason = self._failure, "unreadable"
        elif not self._inflater.eof and measurement.usage is None and measurement.reason != "too_large":
            measurement.reason = "cut"
        return measurement

    def _unpack(self, piece: bytes, window: int) -> bytes:
        """Hand on one portion and return what is left of ``piece``."""
        inflater = self._inflater
        self._show(lambda: inflater.decompress(piece, _PORTION))
        if not inflater.eof:
            return inflater.unconsumed_tail
        self._inflater = zlib.decompressobj(window)  # a gzip file may have several members (RFC 1952, 2.2)
        return inflater.unused_data

    def _show(self, unpack: Callable[[], bytes]) -> None:
        try:
            unpacked = unpack()
        except zlib.error as error:
            self._failure = f"the {self._encoding} body could not be unpacked: {error}"
            return
        if unpacked:
            self._inner.feed(unpacked)
            self.first_token_at = self._inner.first_token_at


def _window(encoding: str, head: bytes) -> int:
    """How zlib is told the format. ``deflate`` means zlib's (RFC 9110, 8.4.1.2); some servers send it bare."""
    if encoding == "gzip":
        return _GZIP
    has_zlib_header = head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0
    return _ZLIB if has_zlib_header else _BARE
