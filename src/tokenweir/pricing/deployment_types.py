"""Where a deployment processes what it is sent, by which Azure's prices differ, as its SKU tells it."""

from typing import Final, Literal

__all__ = ["DeploymentType", "is_batch", "type_of_sku"]

DeploymentType = Literal["global", "data_zone", "regional", "ptu"]
"""``ptu``: provisioned throughput, wherever; it is paid by the hour."""

_TYPES: Final[dict[str, DeploymentType]] = {
    "globalstandard": "global",
    "global": "global",
    "globalbatch": "global",
    "developertier": "global",
    "datazonestandard": "data_zone",
    "datazone": "data_zone",
    "datazonebatch": "data_zone",
    "standard": "regional",
    "regional": "regional",
    "regionalstandard": "regional",
    "ptu": "ptu",
    "provisioned": "ptu",
    "provisionedmanaged": "ptu",
    "globalprovisionedmanaged": "ptu",
    "globalprovisioned": "ptu",
    "datazoneprovisionedmanaged": "ptu",
    "datazoneprovisioned": "ptu",
}


def type_of_sku(sku: str | None) -> DeploymentType | None:
    """What a target's ``sku`` means, as Azure calls it (``GlobalStandard``) or as people do; else ``None``."""
    return None if sku is None else _TYPES.get(_plain(sku))


def is_batch(sku: str | None) -> bool:
    """Whether what such a deployment serves is on the tier for batches."""
    return sku is not None and _plain(sku) in ("globalbatch", "datazonebatch")


def _plain(sku: str) -> str:
    return sku.lower().replace("_", "").replace("-", "").replace(" ", "")
