"""An endpoint that `tokenweir stream` knows by a name."""

from typing import Literal

import msgspec

__all__ = ["ProfileSettings", "StreamApi"]

StreamApi = Literal["chat", "completions", "responses"]
"""Which of the streaming APIs is called."""


class ProfileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[profiles]]`` table; only ``tokenweir stream`` reads it."""

    name: str
    """What ``--profile`` and ``--compare`` call it."""
    endpoint: str
    """``https://my-resource.openai.azure.com``, a gateway's address, or a base URL that ends in ``/v1``."""
    kind: Literal["auto", "azure", "openai"] = "auto"
    """What it understands. ``auto``: ``openai`` where the endpoint ends in ``/v1``, else ``azure``."""
    key_env: str | None = None
    """The environment variable that holds the key. Without it, the one that the official SDK reads."""
    key_header: str | None = None
    """The header for the key, such as ``Ocp-Apim-Subscription-Key``. Without it, that of the official SDK."""
    deployment: str | None = None
    """The deployment, or the model, to ask for."""
    api: StreamApi = "chat"
    """The API to call."""
    api_version: str | None = None
    """Sent as ``api-version`` where ``kind`` is ``azure``. Without it, ``OPENAI_API_VERSION`` or 2024-10-21."""
