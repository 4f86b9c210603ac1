"""Every upstream, ready to be called: its settings, address, credential and connections in one place."""

from collections.abc import Iterable, Mapping

from ..providers import PROVIDERS
from ..records import Clock
from .credentials import Credential, credential_for
from .endpoint import Endpoint
from .pool import Pool
from .settings import UpstreamSettings

__all__ = ["Upstream", "open_upstreams"]

# Deployments are exchanged and upstreams learn; one call in an hour that has to be sent twice costs little.
_REFUSES_FOR = 3600.0


class Upstream:
    """One upstream for the life of a configuration.

    A deployment and api-version that answered 400 to ``stream_options`` and 200 without is not asked again for an
    hour; meanwhile its streams' usage is estimated.
    """

    def __init__(self, settings: UpstreamSettings, credential: Credential, clock: Clock) -> None:
        self.name = settings.name
        self.settings = settings
        self.provider = PROVIDERS[settings.kind]
        self.deployment_families = self.provider.deployment_families
        self.endpoint = Endpoint.parse(settings.endpoint)
        self.credential = credential
        self.signs = not (settings.credential.pass_through or settings.credential.pass_token)
        """Whether the credential is the gateway's own, so that a refusal of it is not the caller's to hear."""
        self.pool = Pool(settings, self.endpoint, clock)
        self._clock = clock
        self._refusing: dict[tuple[str | None, str | None], float] = {}
        """Who refuses ``stream_options``, and until when that is taken for granted."""

    def __repr__(self) -> str:
        return f"<Upstream {self.name} at {self.endpoint.host} {self.pool!r}>"

    def refuses_stream_options(self, deployment: str | None, api_version: str | None) -> bool:
        if not self.provider.takes_stream_options:
            return True
        if not self._refusing:
            return False
        until = self._refusing.get((deployment, api_version))
        if until is not None and self._clock.monotonic() >= until:
            del self._refusing[deployment, api_version]
            return False
        return until is not None

    def remember_refusal(self, deployment: str | None, api_version: str | None) -> None:
        self._refusing[deployment, api_version] = self._clock.monotonic() + _REFUSES_FOR


def open_upstreams(
    settings: Iterable[UpstreamSettings],
    environ: Mapping[str, str],
    clock: Clock,
    before: Mapping[str, Upstream] | None = None,
) -> dict[str, Upstream]:
    """Upstreams by name. Opens no connection. ``before``: those of an earlier configuration, whose tokens go on to be
    good. Raises ``ConfigError``."""
    opened = {}
    for one in settings:
        old = before.get(one.name) if before is not None else None
        stays = old is not None and (old.settings.credential, old.settings.kind) == (one.credential, one.kind)
        credential = old.credential if old is not None and stays else credential_for(one, environ, clock)
        opened[one.name] = Upstream(one, credential, clock)
    return opened
