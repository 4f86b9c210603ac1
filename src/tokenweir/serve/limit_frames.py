"""What relays and the holder of their limits say to each other over a socket, and where that is."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from ..config import Config
from ..limits import Ask, Held, Return

__all__ = ["LimitFrames", "LimitQuestion", "framed", "holder_paths"]

# The kernel takes 107 bytes.
_LONGEST_ADDRESS: Final = 100
_LONGEST_FRAME: Final = 16 * 1024 * 1024


class LimitQuestion(msgspec.Struct, array_like=True):
    """A relay's message. ``number`` comes back with its answer, a list of ``Granted``."""

    number: int
    relay: str
    asks: Sequence[Ask]
    returns: Sequence[Return]
    held: Sequence[Held]


def framed(message: Any) -> bytes:
    """A message behind its length, in four bytes."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(4, "big") + body


class LimitFrames:
    """Takes a stream of frames apart."""

    def __init__(self) -> None:
        self._read = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies of those that are whole. Raises ``ValueError`` for one longer than any is."""
        self._read += data
        while len(self._read) >= 4:
            size = int.from_bytes(self._read[:4], "big")
            if size > _LONGEST_FRAME:
                raise ValueError("this is no frame")
            if len(self._read) < 4 + size:
                return
            body = bytes(self._read[4 : 4 + size])
            del self._read[: 4 + size]
            yield body


def holder_paths(config: Config) -> tuple[Path, Path]:
    """The socket at which a machine's relays ask, and the file of the truth: beside the journals, but for a socket
    whose name would be longer than one may be."""
    directory = Path(config.journal.directory).absolute()
    address = directory / "limits.sock"
    if len(str(address)) > _LONGEST_ADDRESS:
        name = sha256(str(directory).encode()).hexdigest()[:16]
        address = Path(tempfile.gettempdir()) / f"tokenweir-{os.getuid()}-{name}.sock"
    return address, directory / "limits.db"
