"""The archive of segments: a directory, or a container of blob storage."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..journal import Archive, DirectoryArchive

if TYPE_CHECKING:
    from .blob_container import BlobContainer

__all__ = ["is_container", "open_archive"]


def is_container(place: str) -> bool:
    """Whether this is the address of blob storage, not a path."""
    return place.startswith(("https://", "http://"))


def open_archive(place: str) -> Archive:
    """The archive at a path or an address. `ConfigError` for one that cannot be understood, or without its packages."""
    if not is_container(place):
        return DirectoryArchive(Path(place))
    try:
        from .blob_container import BlobContainer
    except ModuleNotFoundError as error:
        raise ConfigError(f"journal.archive needs {error.name}; run: pip install 'tokenweir[azure]'") from error
    return _BlobArchive(BlobContainer(place, "segments"))


class _BlobArchive:
    """A block blob for each segment."""

    def __init__(self, container: "BlobContainer") -> None:
        self.where = container.url
        self._container = container

    def __repr__(self) -> str:
        return f"<_BlobArchive {self.where}>"

    def keep(self, segment: Path, name: str) -> None:
        with self._container.failing(), open(segment, "rb") as file:
            blob = self._container.blob(name)
            if not (blob.exists() and blob.get_blob_properties().size == segment.stat().st_size):
                blob.upload_blob(file, overwrite=True)

    def fetch(self, name: str, folder: Path) -> Path:
        path = folder / name.replace("/", "_")
        with self._container.failing(), open(path, "wb") as file:
            self._container.blob(name).download_blob().readinto(file)
        return path

    def replace(self, segment: Path, name: str) -> None:
        with self._container.failing(), open(segment, "rb") as file:
            self._container.blob(name).upload_blob(file, overwrite=True)

    def names(self) -> Iterator[str]:
        with self._container.failing():
            yield from (name for name in self._container.client.list_blob_names() if name.endswith(".twj"))

    def prune(self, before: datetime) -> int:
        with self._container.failing():
            old = [
                blob.name
                for blob in self._container.client.list_blobs()
                if blob.name.endswith(".twj") and blob.last_modified < before
            ]
            for name in old:
                self._container.blob(name).delete_blob()
        return len(old)
