"""Messages that cannot be read, in blob storage: for hosts without a disk, or with many of them."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, ClientAuthenticationError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobServiceClient

from ..errors import ConfigError, quoted
from ..records import Clock
from .base import DeadMessage, Denied, Unavailable
from .dead_letters import dead_message_line

__all__ = ["DeadMessageBlobs"]

# An append blob takes 50,000 blocks of at most 4 MB, as of the service version of 2021.
_LARGEST_BLOCK = 4 * 1024 * 1024


class DeadMessageBlobs:
    """A container of append blobs, one a day: ``2026-11-24.jsonl``. The lines are those of `DeadMessageFile`."""

    def __init__(self, url: str, clock: Clock, *, client_id: str | None = None, ca_bundle: str | None = None) -> None:
        """``url``: ``https://my-account.blob.core.windows.net/container``, where this machine's identity signs in; it
        needs the role Storage Blob Data Contributor. `ConfigError` if that is no container."""
        self.where = url
        self._clock = clock
        place, _, container = url.rstrip("/").rpartition("/")
        if not urlsplit(place).hostname or not container:
            raise ConfigError(
                f"{quoted(url)} is no container for dead letters, as in https://ACCOUNT.blob.core.windows.net/NAME"
            )
        options: dict[str, Any] = {"connection_verify": ca_bundle} if ca_bundle else {}
        signing_in: dict[str, Any] = {"managed_identity_client_id": client_id} if client_id else {}
        self._credential = DefaultAzureCredential(**signing_in)
        self._service = BlobServiceClient(place, credential=self._credential, **options)
        self._container = container

    def __repr__(self) -> str:
        return f"<DeadMessageBlobs {self.where}>"

    def bury(self, messages: Sequence[DeadMessage]) -> None:
        """The messages are in the container when this returns. `DeliveryError` if it does not take them; some may be
        there twice after another try."""
        if not messages:
            return
        now = self._clock.now()
        blob = self._service.get_blob_client(self._container, f"{now:%Y-%m-%d}.jsonl")
        try:
            # Only the first of a day makes it; the others find it there.
            if not blob.exists():
                blob.create_append_blob(if_none_match="*")
        except AzureError as error:
            if getattr(error, "status_code", None) != 409:
                raise self._explained(error) from error
        try:
            for block in _blocks([dead_message_line(message, now) for message in messages]):
                blob.append_block(block)
        except AzureError as error:
            raise self._explained(error) from error

    def close(self) -> None:
        self._service.close()
        self._credential.close()

    def _explained(self, error: AzureError) -> Denied | Unavailable:
        """In words of ours: those of the storage account may quote the request."""
        if isinstance(error, ResourceNotFoundError):
            return Denied(f"there is no container {quoted(self._container)} for the dead letters; create it")
        if isinstance(error, ClientAuthenticationError) or getattr(error, "status_code", None) == 403:
            return Denied(
                f"the storage account does not take dead letters in the container {quoted(self._container)}; has this "
                "machine's identity the role Storage Blob Data Contributor?"
            )
        return Unavailable(f"the container {quoted(self._container)} for the dead letters: {type(error).__name__}")


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
