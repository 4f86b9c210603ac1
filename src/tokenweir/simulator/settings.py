"""What the simulator as a whole is told; what it does with one request is the request's own script."""

from typing import Annotated

import msgspec

from .script import Script

__all__ = ["SimulatorSettings"]


class SimulatorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One simulated Azure OpenAI resource."""

    listen: str = "127.0.0.1:0"
    """Address and port; port 0 takes a free one."""
    key: str | None = None
    """Asked for as ``api-key``, ``x-api-key`` or ``Authorization: Bearer``; with none, any caller is welcome."""
    region: str = "Sweden Central"
    ledger: str | None = None
    """A file to which every call is appended as a line of JSON."""
    certificate: str | None = None
    private_key: str | None = None
    script: Script = Script()
    """What happens to requests that do not say it themselves."""
    requests_per_minute: Annotated[int, msgspec.Meta(ge=1)] | None = None
    tokens_per_minute: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Of each deployment, in any 60 seconds; above that the answer is 429 with Retry-After."""
    refuse_stream_options: bool = False
    """Answer 400 to ``stream_options``, as old api-versions do. Deployments named ``old…`` always do."""
