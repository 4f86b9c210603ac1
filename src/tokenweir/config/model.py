"""The whole configuration: every room's settings in one frozen value."""

from pathlib import Path
from typing import Literal

import msgspec

from ..delivery.sinks import SinkSettings
from ..delivery.sources.settings import IntakeSettings
from ..deployments.settings import DeploymentSettings
from ..gateway.settings import ServerSettings
from ..jobs.settings import JobsSettings
from ..journal.settings import JournalSettings
from ..ledger.settings import LedgerSettings, RetentionSettings
from ..limits.settings import AdmissionSettings, LimitSettings
from ..policy.settings import CallerSettings, EntraSettings, GroupSettings, TracingSettings
from ..pricing.settings import (
    AdjustmentSettings,
    ExchangeRateSettings,
    PriceSettings,
    PricingSettings,
    ReservationSettings,
)
from ..statements.settings import StatementSettings
from ..upstream.settings import UpstreamSettings
from .setting_path import Origins

__all__ = ["Config", "Loaded", "ProfileSettings", "is_consumers"]


class ProfileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[profiles]]`` table; only ``tokenweir stream`` reads it."""

    name: str
    """What ``--profile`` and ``--compare`` call it."""
    endpoint: str
    """``https://my-resource.openai.azure.com``, a gateway's address, or a base URL that ends in ``/v1``."""
    kind: Literal["auto", "azure", "openai"] = "auto"
    """What it understands. ``auto``: ``openai`` where the endpoint ends in ``/v1``, else ``azure``."""
    key_env: str | None = None
    """The environment variable that holds the key. Without it, the one that the official SDK reads."""
    key_header: str | None = None
    """The header for the key, such as ``Ocp-Apim-Subscription-Key``. Without it, that of the official SDK."""
    deployment: str | None = None
    """The deployment, or the model, to ask for."""
    api: Literal["chat", "completions", "responses"] = "chat"
    """The API to call."""
    api_version: str | None = None
    """Sent as ``api-version`` where ``kind`` is ``azure``. Without it, ``OPENAI_API_VERSION`` or 2024-10-21."""


class Config(msgspec.Struct, frozen=True):
    """What one ``tokenweir.toml`` says; each field is a table of that name."""

    server: ServerSettings = ServerSettings()
    journal: JournalSettings = JournalSettings()
    ledger: LedgerSettings = LedgerSettings()
    retention: RetentionSettings = RetentionSettings()
    upstreams: list[UpstreamSettings] = []
    deployments: list[DeploymentSettings] = []
    groups: list[GroupSettings] = []
    callers: list[CallerSettings] = []
    entra: EntraSettings = EntraSettings()
    sinks: list[SinkSettings] = []
    prices: list[PriceSettings] = []
    pricing: PricingSettings = PricingSettings()
    exchange_rates: list[ExchangeRateSettings] = []
    adjustments: list[AdjustmentSettings] = []
    reservations: list[ReservationSettings] = []
    statements: StatementSettings = StatementSettings()
    intake: IntakeSettings = IntakeSettings()
    tracing: TracingSettings = TracingSettings()
    jobs: JobsSettings = JobsSettings()
    limits: list[LimitSettings] = []
    admission: AdmissionSettings = AdmissionSettings()
    profiles: list[ProfileSettings] = []


def is_consumers(config: Config) -> bool:
    """Whether it is one of ``tokenweir consume`` and of no gateway: it says where messages come from, and has no
    upstream."""
    intake = config.intake
    return not config.upstreams and bool(intake.servers or intake.connection_string_env or intake.namespace)


class Loaded(msgspec.Struct, frozen=True):
    """A configuration, where it came from, and what a person should know about it."""

    config: Config
    source: Path | None
    """The file that was read; ``None`` where there was none."""
    origins: Origins
    notes: list[str]
    """Things that are allowed and may surprise."""
    problems: list[str]
    """What keeps it from being used, each with its place and its fix; empty in what ``load`` returns."""
