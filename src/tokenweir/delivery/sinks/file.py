"""A sink that is a JSON Lines file: one event a line, put aside when it has grown, on disk before it counts as sent."""

import asyncio
import errno
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...records import PathText, Size
from ..base import DeliveryError, Denied, Unavailable
from ..json_lines import LinesFile
from .base import JsonEvent, Problems, SinkConnection, SinkSettings
from .formats import JSON_EVENTS

__all__ = ["FileConnection", "FileSink"]

# A full disk may have room again in a while; everything else waits for a person.
_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EINTR, errno.EMFILE, errno.ENFILE}


class FileConnection(SinkConnection, frozen=True):
    """Kind ``file``: a JSON Lines file."""

    events = JSON_EVENTS

    path: PathText
    """The JSON Lines file."""
    rotate_at: Size = Size(256 * 1024 * 1024)
    """How large it grows before it is put aside as ``PATH.1`` and a new one is begun."""
    keep: int = 4
    """How many files are kept that were put aside."""

    def new_sink(self, settings: SinkSettings, environ: Mapping[str, str]) -> "FileSink":
        return FileSink(self)

    def check(self) -> Problems:
        if not self.path:
            yield "path", "is empty; name the JSON Lines file to write"
        if self.keep < 0:
            yield "keep", "must not be negative"

    def folder(self) -> Path:
        return Path(self.path).parent

    async def probe(self, settings: SinkSettings, environ: Mapping[str, str]) -> str:
        """Looks only: no file and no folder is made."""
        return await asyncio.to_thread(self._look_at_folder)

    def _look_at_folder(self) -> str:
        folder = self.folder()
        nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        if not nearest.is_dir():
            raise Denied(f"{nearest} is a file, not a directory: move it away, or change connection.path")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise Denied(f"{nearest} cannot be written by user {os.geteuid()}: let it, or change connection.path")
        return f"{folder} can be written, {shutil.disk_usage(nearest).free / 1024**3:,.1f} GB free"


class FileSink:
    """``PATH`` is being written; ``PATH.1`` was put aside last, ``PATH.2`` before it.

    A run that ends in the middle of a line costs nothing: the next cuts it off and gets its event again.
    """

    max_event_size = sys.maxsize

    def __init__(self, connection: FileConnection) -> None:
        self._file = LinesFile(Path(connection.path))
        self._rotate_at = connection.rotate_at
        self._keep = connection.keep

    def __repr__(self) -> str:
        return f"<FileSink {self._file.path}>"

    async def open(self) -> None:
        await self._in_thread(self._file.open)

    async def send(self, events: Sequence[JsonEvent]) -> None:
        await self._in_thread(self._append, [event.body for event in events])

    async def close(self) -> None:
        self._file.close()

    def _append(self, lines: Sequence[bytes]) -> None:
        if self._file.append(lines) >= self._rotate_at:
            self._file.close()
            self._put_aside()

    def _put_aside(self) -> None:
        path = self._file.path
        names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, self._keep + 1))]
        for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
            if newer.exists():
                newer.replace(older)
        path.unlink(missing_ok=True)  # still there where none are kept

    async def _in_thread(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            await asyncio.to_thread(work, *arguments)
        except OSError as error:
            raise self._as_ours(error) from error

    def _as_ours(self, error: OSError) -> DeliveryError:
        said = f"{self._file.path} cannot be written ({error.strerror})"
        if error.errno in _PASSING:
            return Unavailable(f"{said}: free space on its disk, or check it")
        return Denied(f"{said}: give the user that runs Tokenweir the right to, or change connection.path")
