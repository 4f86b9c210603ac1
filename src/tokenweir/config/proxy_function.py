"""The Event Hubs variables of the SSE proxy function, so that a deployment of it can be switched over as it is."""

from collections.abc import Iterator, Mapping
from typing import Any

from .model import Config

__all__ = [
    "HUB_VARIABLE",
    "event_hub_note",
    "sink_from_proxy_variables",
]

HUB_VARIABLE = "AZURE_EVENTHUB_CONN_STR"
_HUB_NAME = "AZURE_EVENTHUB_NAME"


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


def event_hub_note(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """What becomes of the Event Hubs variables, where they are set."""
    if not environ.get(HUB_VARIABLE):
        return
    if not any(getattr(sink.connection, "connection_string_env", None) == HUB_VARIABLE for sink in config.sinks):
        yield f"{HUB_VARIABLE} is set and no [[sinks]] uses it, so nothing is sent to that hub"
    elif config.journal.content == "full":
        yield (
            f"{HUB_VARIABLE}: each call is sent to the hub with its prompt and its answer, so the journal and the "
            'ledger keep them too; journal.content = "none" leaves them out everywhere'
        )
