"""What is told about jobs: whether and how often the books ask, and for how long."""

import msgspec

from ..records import Duration

__all__ = ["HostedSettings", "JobsSettings"]


class HostedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[jobs.hosted]]`` table: a deployment that costs by the hour."""

    deployment: str
    """Its name, as callers use it."""
    model: str | None = None
    """The model that prices know it by."""
    caller: str | None = None
    """Whose it is; default: nobody's, so that reports show it by itself."""


class JobsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[jobs]`` table: what calls start and what is billed later."""

    ask: bool = True
    """Whether the books ask upstreams, with the gateway's own credential, what jobs have used. Otherwise a job is
    billed when a caller looks at it, and given up in the end."""
    listen: bool = False
    """Whether the books open a WebSocket of their own to each session that passes by the gateway (WebRTC, telephone,
    live sessions), and record what is told there in the name of whoever has made it. Otherwise its usage is
    ``elsewhere``. Takes effect at a start."""
    first: Duration = Duration(10)
    """How soon after it was made a job is asked for. Each pause after that is a quarter of its age."""
    longest: Duration = Duration(15 * 60)
    """The longest pause between two questions about a job."""
    hosted: list[HostedSettings] = []
    """Deployments of fine-tuned models, which cost by the hour, with or without calls: from when they stand here until
    they do not, their hours are recorded."""
    give_up: Duration = Duration(35 * 86400)
    """How old an open job may become before it is recorded as given up. Azure keeps a response for 30 days."""
