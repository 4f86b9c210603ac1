"""A container of blob storage, where this machine's identity signs in; its failures in words of ours, as those of the
storage account may quote the request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, ClientAuthenticationError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobClient, BlobServiceClient

from ..errors import ConfigError, quoted
from .base import Denied, Unavailable

__all__ = ["BlobContainer"]


class BlobContainer:
    """Its clients, for ``what``: the plural of what is kept there, for messages."""

    def __init__(self, url: str, what: str, *, client_id: str | None = None, ca_bundle: str | None = None) -> None:
        """``url``: ``https://my-account.blob.core.windows.net/container``. The identity needs the role Storage Blob
        Data Contributor. `ConfigError` if that is no container."""
        self.url = url
        self._what = what
        place, _, self._name = url.rstrip("/").rpartition("/")
        if not urlsplit(place).hostname or not self._name:
            raise ConfigError(
                f"{quoted(url)} is no container for {what}, as in https://ACCOUNT.blob.core.windows.net/NAME"
            )
        options: dict[str, Any] = {"connection_verify": ca_bundle} if ca_bundle else {}
        signing_in: dict[str, Any] = {"managed_identity_client_id": client_id} if client_id else {}
        self._credential = DefaultAzureCredential(**signing_in)
        self._service = BlobServiceClient(place, credential=self._credential, **options)
        self.client = self._service.get_container_client(self._name)

    def blob(self, name: str) -> BlobClient:
        return self.client.get_blob_client(name)

    def close(self) -> None:
        self._service.close()
        self._credential.close()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """`Denied` or `Unavailable` for what fails inside."""
        try:
            yield
        except AzureError as error:
            raise self._explained(error) from error

    def _explained(self, error: AzureError) -> Denied | Unavailable:
        container = quoted(self._name)
        if isinstance(error, ResourceNotFoundError):
            return Denied(f"there is no container {container} for the {self._what}; create it")
        if isinstance(error, ClientAuthenticationError) or getattr(error, "status_code", None) == 403:
            return Denied(
                f"the storage account does not take {self._what} in the container {container}; has this machine's "
                "identity the role Storage Blob Data Contributor?"
            )
        return Unavailable(f"the container {container} for the {self._what}: {type(error).__name__}")
