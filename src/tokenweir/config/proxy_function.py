"""The variables of the SSE proxy function, so that a deployment of it can be switched over as it is."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["ENDPOINT_VARIABLE", "event_hub_note", "upstream_from_proxy_variables"]

ENDPOINT_VARIABLE = "AZURE_OPENAI_BASE_URL"
_KEY = "AZURE_OPENAI_KEY"
_API_VERSION = "AZURE_OPENAI_API_VERSION"
_EVENT_HUB = ("AZURE_EVENTHUB_CONN_STR", "AZURE_EVENTHUB_NAME")


def upstream_from_proxy_variables(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The one ``[[upstreams]]`` table they describe, raw; ``None`` where there is no endpoint among them.

    The version is for callers who name none: unlike the function, the gateway passes on the caller's own.
    """
    if not environ.get(ENDPOINT_VARIABLE):
        return None
    upstream = {"name": "azure", "endpoint": environ[ENDPOINT_VARIABLE], "credential": {"key_env": _KEY}}
    if environ.get(_API_VERSION):
        upstream["api_version"] = environ[_API_VERSION]
    return upstream


def event_hub_note(environ: Mapping[str, str]) -> Iterator[str]:
    """What becomes of the Event Hubs variables, where they are set."""
    found = [name for name in _EVENT_HUB if environ.get(name)]
    if found:
        yield (
            f"{' and '.join(found)}: nothing is sent to Event Hubs; this version keeps its records "
            "in the journal and the ledger (`tokenweir calls`, `tokenweir usage`)"
        )
