"""The variables of the SSE proxy function, so that a deployment of it can be switched over as it is."""

from collections.abc import Iterator, Mapping
from typing import Any

from .model import Config

__all__ = [
    "ENDPOINT_VARIABLE",
    "HUB_VARIABLE",
    "endpoint_note",
    "event_hub_note",
    "sink_from_proxy_variables",
    "upstream_from_proxy_variables",
]

ENDPOINT_VARIABLE = "AZURE_OPENAI_BASE_URL"
HUB_VARIABLE = "AZURE_EVENTHUB_CONN_STR"
_KEY = "AZURE_OPENAI_KEY"
_API_VERSION = "AZURE_OPENAI_API_VERSION"
_HUB_NAME = "AZURE_EVENTHUB_NAME"


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


def sink_from_proxy_variables(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The one ``[[sinks]]`` table they describe, raw; ``None`` where there is no hub among them.

    Its events are the function's, so they carry prompts and answers: the journal has to keep them.
    """
    if not environ.get(HUB_VARIABLE):
        return None
    connection = {"connection_string_env": HUB_VARIABLE}
    if environ.get(_HUB_NAME):
        connection["hub"] = environ[_HUB_NAME]
    return {"name": "event-hub", "kind": "event_hubs", "shape": "sse-proxy", "connection": connection}


def endpoint_note(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """That the endpoint among the variables is not used, where it is not."""
    endpoint = environ.get(ENDPOINT_VARIABLE)
    if endpoint and config.upstreams and all(upstream.endpoint != endpoint for upstream in config.upstreams):
        yield f"{ENDPOINT_VARIABLE} is set and not used: [[upstreams]] are configured, and none is at that address"


def event_hub_note(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """What becomes of the Event Hubs variables, where they are set."""
    if not environ.get(HUB_VARIABLE):
        return
    if not any(sink.connection.connection_string_env == HUB_VARIABLE for sink in config.sinks):
        yield f"{HUB_VARIABLE} is set and no [[sinks]] uses it, so nothing is sent to that hub"
    elif config.journal.content == "full":
        yield (
            f"{HUB_VARIABLE}: each call is sent to the hub with its prompt and its answer, so the journal and the "
            'ledger keep them too; journal.content = "none" leaves them out everywhere'
        )
