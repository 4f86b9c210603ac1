"""Messages that cannot be read, in blob storage: for hosts without a disk, or with many of them."""

from collections.abc import Sequence

from azure.core.exceptions import AzureError

from ..records import Clock
from .base import DeadMessage
from .blob_container import BlobContainer
from .dead_letters import dead_message_line

__all__ = ["DeadMessageBlobs"]

# An append blob takes 50,000 blocks of at most 4 MB, as of the service version of 2021.
_LARGEST_BLOCK = 4 * 1024 * 1024


class DeadMessageBlobs:
    """A container of append blobs, one a day: ``2026-11-24.jsonl``. The lines are those of `DeadMessageFile`."""

    def __init__(self, url: str, clock: Clock, *, client_id: str | None = None, ca_bundle: str | None = None) -> None:
        """``url`` and the identity are as in `BlobContainer`. `ConfigError` if that is no container."""
        self.where = url
        self._clock = clock
        self._container = BlobContainer(url, "dead letters", client_id=client_id, ca_bundle=ca_bundle)

    def __repr__(self) -> str:
        return f"<DeadMessageBlobs {self.where}>"

    def bury(self, messages: Sequence[DeadMessage]) -> None:
        """The messages are in the container when this returns. `DeliveryError` if it does not take them; some may be
        there twice after another try."""
        if not messages:
            return
        now = self._clock.now()
        blob = self._container.blob(f"{now:%Y-%m-%d}.jsonl")
        with self._container.failing():
            try:
                # Only the first of a day makes it; the others find it there.
                if not blob.exists():
                    blob.create_append_blob(if_none_match="*")
            except AzureError as error:
                if getattr(error, "status_code", None) != 409:
                    raise
            for block in _blocks([dead_message_line(message, now) for message in messages]):
                blob.append_block(block)

    def close(self) -> None:
        self._container.close()


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
