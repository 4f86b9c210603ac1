"""Where a request wants to go, as its path says."""

from typing import Literal

import msgspec

__all__ = ["PathFamily", "Route"]

PathFamily = Literal["deployments", "v1", "openai", "anthropic", "foundry"]
"""How a caller's path is built: ``/openai/deployments/{deployment}/{tail}``; ``/openai/v1/{tail}`` or ``/v1/{tail}``;
``/openai/{tail}`` (dated, no deployment); ``/anthropic/v1/{tail}``; another beginning of a Foundry resource."""


class Route(msgspec.Struct, frozen=True, gc=False):
    """A data-port path, taken apart."""

    api: str
    """The name of its surface (``apis/``), or ``other``."""
    operation: str
    """OpenTelemetry's ``gen_ai.operation.name`` where it has one, else the head of the tail (``files``)."""
    family: PathFamily
    deployment: str | None
    tail: str
    job_id: str | None = None
    """Of the job that the path is about: a batch, a fine-tuning, a video."""
    session_id: str | None = None
    """Of the session that the path is about: realtime."""
    path: str = ""
    """The whole path, written in the one way that is judged, recorded and sent upstream."""

    @property
    def is_metered(self) -> bool:
        return self.api != "other"
