"""What the simulator as a whole is told; what it does with one request is the request's own script."""

import msgspec

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
    refuse_stream_options: bool = False
    """Answer 400 to ``stream_options``, as old api-versions do. Deployments named ``old…`` always do."""
