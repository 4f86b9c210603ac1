"""Dead letters in blob storage: for hosts without a disk, or with many of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobLeaseClient, BlobProperties, BlobType, StorageErrorCode

from ..records import Clock
from .base import Unavailable
from .blob_container import BlobContainer
from .dead_letters import StoredLetters

__all__ = ["LetterBlobs"]

# An append blob takes 50,000 blocks of at most 4 MB, as of the service version of 2021.
_LARGEST_BLOCK = 4 * 1024 * 1024

_SENT = "sent"
"""The member of a blob's metadata that says how far it was sent again, in bytes."""
_LOCK = "sending.lock"
_LOCK_SECONDS = 60


class LetterBlobs:
    """A `LetterStore` of append blobs in a container, one a day: ``2026-11-24.jsonl``."""

    def __init__(
        self, url: str, clock: Clock, *, folder: str = "", client_id: str | None = None, ca_bundle: str | None = None
    ) -> None:
        """``url`` and the identity are as in `BlobContainer`. ``folder``, like ``sinks/hub/``, stands before the blobs'
        names, so that several may share a container. `ConfigError` if that is no container."""
        self.where = url if not folder else f"{url.rstrip('/')}/{folder}"
        self._clock = clock
        self._folder = folder
        self._container = BlobContainer(url, "dead letters", client_id=client_id, ca_bundle=ca_bundle)

    def __repr__(self) -> str:
        return f"<LetterBlobs {self.where}>"

    def append(self, lines: Sequence[bytes]) -> None:
        blob = self._container.blob(f"{self._folder}{self._clock.now():%Y-%m-%d}.jsonl")
        with self._container.failing():
            for block in _blocks([line + b"\n" for line in lines]):
                _append(blob, block)

    def waiting(self) -> Iterator[bytes]:
        with self._container.failing():
            for letters in self._stored():
                yield from (line for line, _ in letters.lines())

    @contextmanager
    def claim(self) -> Iterator[Iterator[StoredLetters]]:
        lock = self._container.blob(self._folder + _LOCK)
        with self._container.failing():
            with suppress(ResourceExistsError):
                lock.upload_blob(b"", overwrite=False)
            try:
                lease = lock.acquire_lease(lease_duration=_LOCK_SECONDS)
            except ResourceExistsError:
                raise Unavailable(
                    f"the letters in {self.where} are being sent by another process, or were a minute ago"
                ) from None
            try:
                yield iter(self._stored(lease))
            finally:
                with suppress(AzureError):
                    lease.release()

    def close(self) -> None:
        self._container.close()

    def _stored(self, lease: BlobLeaseClient | None = None) -> "list[_StoredBlob]":
        found = [
            blob
            for blob in self._container.client.list_blobs(name_starts_with=self._folder, include=["metadata"])
            if blob.blob_type == BlobType.APPENDBLOB and "/" not in str(blob.name).removeprefix(self._folder)
        ]
        return [_StoredBlob(self._container.blob(str(blob.name)), blob, lease) for blob in found]


class _StoredBlob:
    """`StoredLetters` of a blob, as far as it went when it was listed: others may append to it meanwhile."""

    def __init__(self, blob: BlobClient, properties: BlobProperties, lease: BlobLeaseClient | None = None) -> None:
        self._blob = blob
        self._size = properties.size
        self._sent = int((properties.metadata or {}).get(_SENT, "0"))
        self._lease = lease

    def lines(self) -> Iterator[tuple[bytes, int]]:
        position, rest = self._sent, b""
        if position >= self._size:
            return
        for chunk in self._blob.download_blob(offset=position, length=self._size - position).chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                position += len(line) + 1
                yield line, position

    def done(self, position: int) -> None:
        if self._lease is not None:
            self._lease.renew()
        self._sent = position
        self._blob.set_blob_metadata({_SENT: str(position)})
        if position < self._size:
            return
        now = self._blob.get_blob_properties()
        if now.size == self._size:
            with suppress(ResourceModifiedError):  # somebody appends just now
                self._blob.delete_blob(etag=now.etag, match_condition=MatchConditions.IfNotModified)


def _append(blob: BlobClient, block: bytes) -> None:
    try:
        blob.append_block(block)
    except ResourceNotFoundError as error:
        if getattr(error, "error_code", None) != StorageErrorCode.BLOB_NOT_FOUND:
            raise
        # Only the first of a day makes it; the others find it there.
        with suppress(ResourceExistsError):
            blob.create_append_blob(match_condition=MatchConditions.IfMissing)
        blob.append_block(block)


def _blocks(lines: Sequence[bytes]) -> list[bytes]:
    """As few as the service takes. A line that is longer than one goes in several."""
    blocks: list[bytes] = []
    gathered = b""
    for line in lines:
        if gathered and len(gathered) + len(line) > _LARGEST_BLOCK:
            blocks.append(gathered)
            gathered = b""
        gathered += line
        while len(gathered) > _LARGEST_BLOCK:
            blocks.append(gathered[:_LARGEST_BLOCK])
            gathered = gathered[_LARGEST_BLOCK:]
    return [*blocks, gathered] if gathered else blocks
