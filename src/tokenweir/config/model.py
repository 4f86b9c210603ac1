"""The whole configuration: every room's settings in one frozen value."""

from pathlib import Path

import msgspec

from ..delivery.sinks import SinkSettings
from ..delivery.sources.settings import IntakeSettings
from ..deployments.settings import DeploymentSettings
from ..gateway.settings import ServerSettings
from ..journal.settings import JournalSettings
from ..ledger.settings import LedgerSettings
from ..policy.settings import CallerSettings, TracingSettings
from ..pricing.settings import PriceSettings
from ..upstream.settings import UpstreamSettings
from .places import Origins
from .profiles import ProfileSettings

__all__ = ["Config", "Loaded"]


class Config(msgspec.Struct, frozen=True):
    """What one ``tokenweir.toml`` says; each field is a table of that name."""

    server: ServerSettings = ServerSettings()
    journal: JournalSettings = JournalSettings()
    ledger: LedgerSettings = LedgerSettings()
    upstreams: list[UpstreamSettings] = []
    deployments: list[DeploymentSettings] = []
    callers: list[CallerSettings] = []
    sinks: list[SinkSettings] = []
    prices: list[PriceSettings] = []
    intake: IntakeSettings = IntakeSettings()
    tracing: TracingSettings = TracingSettings()
    profiles: list[ProfileSettings] = []


class Loaded(msgspec.Struct, frozen=True):
    """A configuration, where it came from, and what a person should know about it."""

    config: Config
    source: Path | None
    """The file that was read; ``None`` where there was none."""
    origins: Origins
    notes: list[str]
    """Things that are allowed and may surprise."""
    problems: list[str]
    """What keeps it from being used, each with its place and its mend; empty in what ``load`` returns."""
