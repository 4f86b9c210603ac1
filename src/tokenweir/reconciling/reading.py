"""Which kind of file this is."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

from ..errors import ConfigError
from .amounts import Told
from .cost_export import read_cost_export
from .llm_log import read_llm_log
from .monitor_metrics import read_metrics

__all__ = ["FILE_KINDS", "FileKind", "read_file"]

FileKind = Literal["cost", "metrics", "llm-log"]

FILE_KINDS: Final[dict[FileKind, Callable[[bytes], Iterator[Told]]]] = {
    "cost": read_cost_export,
    "metrics": read_metrics,
    "llm-log": read_llm_log,
}


def read_file(path: Path, kind: FileKind | None = None) -> tuple[FileKind, list[Told]]:
    """All of a file, and which kind it is where that was not said. Raises ConfigError."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    if not content.strip():
        raise ConfigError(f"{path} is empty")
    kind = kind or _kind_of(content)
    try:
        return kind, list(FILE_KINDS[kind](content))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _kind_of(content: bytes) -> FileKind:
    head = content[:4096].lstrip(b"\xef\xbb\xbf \r\n\t")
    if not head.startswith((b"{", b"[")):
        return "cost"
    return "metrics" if b'"timeseries"' in content else "llm-log"
