"""A few files for DuckDB to read, without a lock and no further than they may be read.

DuckDB takes file systems written in Python, if they are of fsspec's class. The class is all it wants of that package,
so a stand-in takes its place in this process, which is a query's and does nothing else.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from duckdb import DuckDBPyConnection

__all__ = ["SCHEME", "register"]

SCHEME = "ledger"


def register(connection: DuckDBPyConnection, lengths: Mapping[str, int | None]) -> None:
    """Files (absolute paths), and how long each is to seem; ``None`` for as long as it is. Read as ``ledger://…``."""
    stand_in = ModuleType("fsspec")
    stand_in.AbstractFileSystem = _Files  # type: ignore[attr-defined]
    sys.modules["fsspec"] = stand_in
    connection.register_filesystem(_Files(lengths))


class _Files:
    """What DuckDB asks of a file system, as fsspec names it."""

    protocol = SCHEME

    def __init__(self, lengths: Mapping[str, int | None]) -> None:
        self._lengths = lengths

    def isfile(self, url: str) -> bool:
        path = _path(url)
        return path in self._lengths and self._lengths[path] != 0 and Path(path).is_file()

    exists = isfile

    def open(self, url: str, mode: str = "rb", **options: Any) -> "_File":
        if not self.isfile(url) or mode not in ("r", "rb"):
            raise FileNotFoundError(url)
        path = _path(url)
        return _File(path, self._lengths[path])

    def size(self, url: str) -> int:
        path = _path(url)
        length = self._lengths[path]
        return Path(path).stat().st_size if length is None else length

    def modified(self, url: str) -> float:
        return Path(_path(url)).stat().st_mtime


class _File:
    def __init__(self, path: str, length: int | None) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._length = os.fstat(self._descriptor).st_size if length is None else length
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        left = max(self._length - self._at, 0)
        data = os.pread(self._descriptor, left if size < 0 else min(size, left), self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        os.close(self._descriptor)


def _path(url: str) -> str:
    return url.removeprefix(f"{SCHEME}://")
