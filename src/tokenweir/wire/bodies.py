"""An answer's body as it arrives, by the way in which its end is told (RFC 9112, section 6.3). Pure machines."""

from .chunked import ChunkedReader

__all__ = ["Body", "SizedBody", "UnsizedBody"]


class SizedBody:
    """A body whose ``Content-Length`` is known."""

    def __init__(self, size: int) -> None:
        self._left = size
        self.is_whole = size == 0
        self.rest = b""
        self.took_one_chunk = False

    def feed(self, data: bytes) -> bytes:
        left = self._left = self._left - len(data)
        if left > 0:
            return data
        self.is_whole = True
        if left < 0:
            self.rest = data[left:]
            return data[:left]
        return data


class UnsizedBody:
    """A body that ends with its connection."""

    def __init__(self) -> None:
        self.is_whole = False
        self.rest = b""
        self.took_one_chunk = False

    def feed(self, data: bytes) -> bytes:
        return data


Body = ChunkedReader | SizedBody | UnsizedBody
"""``feed`` returns what of the body is in the bytes that came; once ``is_whole``, nothing may be fed any more, and
``rest`` is what came behind the end. ``took_one_chunk``: what was fed last was one chunk of the chunked coding,
exactly, so that it can be passed on as it came."""
