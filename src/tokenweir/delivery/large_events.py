"""Where events are kept whole that are too large for their sinks, which get their addresses instead."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .base import Unavailable
from .sinks import WholeEvent

__all__ = ["LargeEvents", "open_large_events"]


class LargeEvents(Protocol):
    """Files, each put there once or again with the same content."""

    def put(self, events: Sequence[WholeEvent]) -> None:
        """They are kept when this returns. Blocks. `DeliveryError` where they are not."""
        ...

    def close(self) -> None:
        """Lets go of everything that is open; raises nothing."""
        ...


def open_large_events(place: str | None) -> LargeEvents | None:
    """``None`` where no place is given. `ConfigError` for the address of what is no container, or without its
    package."""
    if place is None:
        return None
    return _Blobs(place) if "://" in place else _Files(Path(place))


class _Files:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, events: Sequence[WholeEvent]) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for event in events:
                path = self._directory / event.name
                new = path.with_suffix(".new")
                with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(event.body)
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(path)
        except OSError as error:
            raise Unavailable(f"large events cannot be kept in {self._directory} ({error.strerror})") from error

    def close(self) -> None:
        """Nothing is open."""


class _Blobs:
    def __init__(self, url: str) -> None:
        from .blob_container import BlobContainer

        self._container = BlobContainer(url, "large events")

    def put(self, events: Sequence[WholeEvent]) -> None:
        with self._container.failing():
            for event in events:
                self._container.blob(event.name).upload_blob(event.body, overwrite=True)

    def close(self) -> None:
        self._container.close()
