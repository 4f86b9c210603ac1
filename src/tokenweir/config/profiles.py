"""The endpoints that ``tokenweir stream`` knows by a name. Beside the rooms' settings, since no room reads it."""

from typing import Literal

import msgspec

from ..errors import ConfigError
from ..upstream import Endpoint
from .found import Found

__all__ = ["ProfileSettings", "check_profiles"]


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
    api: Literal["chat", "completions", "responses"] = "chat"
    """The API to call."""
    api_version: str | None = None
    """Sent as ``api-version`` where ``kind`` is ``azure``. Without it, ``OPENAI_API_VERSION`` or 2024-10-21."""


def check_profiles(profiles: list[ProfileSettings]) -> Found:
    """A key's variable may be missing here: the file is shared, and keys are each person's own."""
    for profile in profiles:
        try:
            Endpoint.parse(profile.endpoint)
        except ConfigError as error:
            yield ("profiles", f'"{profile.name}"', "endpoint"), str(error)
