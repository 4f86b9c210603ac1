"""Every upstream, ready to be called: its settings, address, credential and connections in one place."""

from collections.abc import Iterable, Mapping

from ..records import Clock
from .credentials import Credential, credential_for
from .endpoint import Endpoint
from .pool import Pool
from .settings import UpstreamSettings

__all__ = ["Upstream", "open_upstreams"]


class Upstream:
    """One upstream for the life of a configuration.

    ``refuses_stream_options`` are the deployments and api-versions that answered 400 to ``stream_options`` and
    200 without: they are not asked again, and their streams' usage is estimated.
    """

    def __init__(self, settings: UpstreamSettings, credential: Credential, clock: Clock) -> None:
        self.name = settings.name
        self.settings = settings
        self.endpoint = Endpoint.parse(settings.endpoint)
        self.credential = credential
        self.signs = not settings.credential.pass_through
        """Whether the credential is the gateway's own, so that a refusal of it is not the caller's to hear."""
        self.pool = Pool(settings, self.endpoint, clock)
        self.refuses_stream_options: set[tuple[str | None, str | None]] = set()

    def __repr__(self) -> str:
        return f"<Upstream {self.name} at {self.endpoint.host} {self.pool!r}>"

    @property
    def is_azure(self) -> bool:
        return self.settings.kind == "azure"


def open_upstreams(
    settings: Iterable[UpstreamSettings], environ: Mapping[str, str], clock: Clock
) -> dict[str, Upstream]:
    """Upstreams by name. Opens no connection. Raises ``ConfigError``."""
    return {one.name: Upstream(one, credential_for(one, environ, clock), clock) for one in settings}
