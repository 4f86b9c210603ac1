"""How far each partition of a hub has been read: in blob storage, shared with other consumers, or in the ledger.

A position is ``sequence number:offset``. The first is for people, and both are what a checkpoint holds.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError
from azure.eventhub.aio import CheckpointStore
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore

from ....errors import ConfigError, quoted
from ...base import Denied, Unavailable
from ...event_hub import AzureIdentity, HubAddress

__all__ = ["BlobCheckpoints", "Checkpoints", "CheckpointsAddress", "LedgerPositions", "ConsumerGroup"]


class ConsumerGroup(msgspec.Struct, frozen=True):
    """Who reads what: a consumer group of a hub."""

    address: HubAddress
    group: str

    def partition(self, partition: str) -> str:
        """The name under which the ledger keeps a partition's position."""
        namespace, hub = self.address.place()
        return f"event_hubs/{namespace}/{hub}/{self.group}/{partition}"

    def place(self) -> dict[str, str]:
        namespace, hub = self.address.place()
        return {"fully_qualified_namespace": namespace, "eventhub_name": hub, "consumer_group": self.group}


class Checkpoints(Protocol):
    """What a source needs besides what the SDK asks a store for."""

    @property
    def store(self) -> CheckpointStore:
        """For the SDK."""
        ...

    async def open(self, group: ConsumerGroup, partitions: Sequence[str]) -> None:
        """`Denied` or `Unavailable` in words for a person."""
        ...

    async def save(self, partition: str, position: str) -> None:
        """`Unavailable` if it could not be saved."""
        ...

    async def close(self) -> None:
        """Raises nothing."""
        ...


class LedgerPositions:
    """Positions are where the ledger has them, because it writes them down together with the calls.

    Then one consumer reads all partitions; a second one would take them away from it again and again.
    """

    def __init__(self, position: Callable[[str], str | None]) -> None:
        """``position`` is the ledger's; it is called in a thread."""
        self.store = _Store(position)

    async def open(self, group: ConsumerGroup, partitions: Sequence[str]) -> None:
        self.store.group, self.store.partitions = group, partitions

    async def save(self, partition: str, position: str) -> None:
        return None

    async def close(self) -> None:
        return None


class _Store(CheckpointStore):
    """What the SDK sees: every partition is this consumer's own, for ever."""

    group: ConsumerGroup
    partitions: Sequence[str]

    def __init__(self, position: Callable[[str], str | None]) -> None:
        self._position = position
        self._owned: dict[str, dict[str, Any]] = {}

    async def list_ownership(self, *_: str, **__: Any) -> Iterable[dict[str, Any]]:
        return list(self._owned.values())

    async def claim_ownership(self, ownership_list: Iterable[dict[str, Any]], **_: Any) -> Iterable[dict[str, Any]]:
        claimed = [{**one, "last_modified_time": float("inf"), "etag": "ledger"} for one in ownership_list]
        self._owned |= {one["partition_id"]: one for one in claimed}
        return claimed

    async def update_checkpoint(self, checkpoint: dict[str, str | int | None], **_: Any) -> None:
        return None

    async def list_checkpoints(self, *_: str, **__: Any) -> Iterable[dict[str, Any]]:
        found = [(one, await asyncio.to_thread(self._position, self.group.partition(one))) for one in self.partitions]
        place = self.group.place()
        return [place | {"partition_id": one} | _fields(position) for one, position in found if position]


class CheckpointsAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A container of blob storage, which has to be there. One of ``connection_string`` and ``account_url``."""

    container: str
    connection_string: str | None = None
    account_url: str | None = None
    """``https://my-account.blob.core.windows.net``; this machine's identity signs in, which needs the role Storage
    Blob Data Contributor."""
    client_id: str | None = None
    """Which of several managed identities."""
    ca_bundle: str | None = None
    """A PEM file to trust instead of the usual authorities."""

    def __repr__(self) -> str:
        return f"<CheckpointsAddress {self.container}>"


class BlobCheckpoints:
    """Ownership and positions as the official SDKs keep them, so that consumers of any language share a hub."""

    def __init__(self, address: CheckpointsAddress) -> None:
        """`ConfigError` if this describes no container."""
        self._address = address
        self._identity = None if address.connection_string is not None else AzureIdentity(address.client_id)
        self._group: ConsumerGroup
        options: dict[str, Any] = {} if address.ca_bundle is None else {"connection_verify": address.ca_bundle}
        try:
            if address.connection_string is not None:
                self.store = BlobCheckpointStore.from_connection_string(
                    address.connection_string, address.container, **options
                )
            else:
                options["credential"] = self._identity
                self.store = BlobCheckpointStore(address.account_url or "", address.container, **options)
        except ValueError as error:  # its text could quote the key
            raise ConfigError(
                f"the checkpoints' container {quoted(address.container)} needs the connection string of the storage "
                "account, as the portal shows it, or the account's URL"
            ) from error

    async def open(self, group: ConsumerGroup, partitions: Sequence[str]) -> None:
        self._group = group
        try:
            await self.store.list_checkpoints(**group.place())
        except Exception as error:
            raise self.explained(error) from error

    async def save(self, partition: str, position: str) -> None:
        checkpoint: dict[str, Any] = self._group.place() | {"partition_id": partition} | _fields(position)
        try:
            await self.store.update_checkpoint(checkpoint)
        except Exception as error:
            raise Unavailable(str(self.explained(error))) from error

    async def close(self) -> None:
        await self.store.close()
        if self._identity is not None:
            self._identity.close()

    def explained(self, error: Exception) -> Denied | Unavailable:
        """Of the storage account, whose texts may quote the request."""
        container = self._address.container
        if isinstance(error, ResourceNotFoundError):
            return Denied(f"there is no container {quoted(container)} for the checkpoints; create it")
        if isinstance(error, ClientAuthenticationError) or getattr(error, "status_code", None) == 403:
            return Denied(
                f"the storage account refused to open the container {quoted(container)} for the checkpoints; is the "
                "key its own, or has the managed identity the role Storage Blob Data Contributor?"
            )
        return Unavailable(f"the container {quoted(container)} for the checkpoints: {type(error).__name__}")


def _fields(position: str) -> dict[str, Any]:
    sequence_number, _, offset = position.partition(":")
    return {"sequence_number": int(sequence_number), "offset": offset}
