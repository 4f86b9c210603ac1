"""How each relay is, and whether everything that should run runs, in checks that a person can read."""

from datetime import datetime

import msgspec

from ..delivery import SinkStatus
from ..journal import JournalStatus, LedgerGap, Trouble
from ..records import TargetStatus

__all__ = [
    "Applied",
    "Check",
    "ConfigInForce",
    "LedgerStatus",
    "RelayStatus",
    "RelayTargets",
    "readiness",
    "targets_by_relay",
]

# Half a minute's posting. A ledger that is further behind is not catching up but standing still.
MOST_LAG_BYTES = 256 * 1024 * 1024


class RelayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One relay. ``age`` is how long ago it last wrote its status, in seconds; ``None``: it never did."""

    name: str
    fresh: bool
    age: float | None
    gauges: dict[str, float | int] = {}
    journal: JournalStatus | None = None
    lag_bytes: int | None = None
    """How much of its journal is not in the ledger yet; ``None``: nobody has looked."""
    oldest_unposted_seconds: float | None = None
    """How long ago the oldest call ended that is not in the ledger yet; 0 if all are."""
    journal_size_bytes: int = 0
    is_read_only: bool = False
    """Whether its journal's file system is mounted so."""
    journal_free_bytes: int = 0
    """What its disk has left for it."""
    records_missing: int = 0
    """How many records its journal should hold and does not; after a kill, how many at most."""
    segments_cut: int = 0
    """How many of its journal's segments were found empty, short or gone."""
    ledger_gap: LedgerGap | None = None
    """What the ledger misses that was posted to it once, as it does when it was restored from a backup."""


class RelayTargets(msgspec.Struct, frozen=True):
    """How the targets of deployments are, as one relay has found: each learns from its own calls."""

    relay: str
    fresh: bool
    """Whether it has said so within seconds."""
    targets: list[TargetStatus]


class LedgerStatus(msgspec.Struct, frozen=True):
    """How posting goes, in this run."""

    failing_since: datetime | None = None
    errors: int = 0
    """Times that records could not be posted, or the ledger not be opened."""
    archive_trouble: Trouble | None = None
    """Why segments stay in the journals that everybody has taken."""


class Applied(msgspec.Struct, frozen=True):
    """Whether a relay works with the keys file, or with the configuration, as it is now."""

    relay: str
    in_force: bool
    reason: str | None = None
    """Why not."""


class ConfigInForce(msgspec.Struct, frozen=True):
    """What the gateway runs with."""

    source: str | None
    """The file that it was read from; ``None`` where there was none."""
    lines: list[str]
    """All of it as TOML, secrets masked."""
    digest: int
    """What relays that run with it give as the gauge ``config_digest``."""


class Check(msgspec.Struct, frozen=True):
    """One thing that has to be well, and what is wrong with it if it is not."""

    name: str
    ok: bool
    message: str


def readiness(
    relays: list[RelayStatus],
    expected: int,
    ledger_error: str | None,
    *,
    has_ledger: bool = True,
    ledger_failing_since: datetime | None = None,
    archive_trouble: Trouble | None = None,
    sinks: list[SinkStatus] = [],  # noqa: B006 - nothing is added to it
) -> list[Check]:
    """The relays, the journal of each, what else each has trouble with, the targets that they call, the ledger, if one
    is kept, and the sinks.

    A ledger that misses records is told. Where one is kept, a sink that fails is told and the gateway is ready all the
    same. Where none is, the only sink is the only place where records go.

    A directory of a relay that is no longer configured says nothing: only as many relays are waited for as
    there should be.
    """
    fresh = [relay for relay in relays if relay.fresh]
    # Its writer cannot say so itself: its status is a file there, too.
    journals = [
        Check(f"journal of {relay.name}", False, "its file system is mounted read-only, so nothing is written there")
        for relay in relays
        if relay.is_read_only
    ]
    journals += [
        _journal(relay.name, relay.journal) for relay in fresh if relay.journal is not None and not relay.is_read_only
    ]
    troubles = [
        Check(
            f"{part} of {relay.name}",
            not trouble.hinders_calls,
            f"since {trouble.since:%H:%M:%S} UTC: {trouble.message}",
        )
        for relay in fresh
        if relay.journal is not None
        for part, trouble in relay.journal.troubles.items()
    ]
    ledger = _ledger(relays, ledger_error, has_ledger, ledger_failing_since)
    # The alarm is the metric's: calls can go on, and no other gateway would have the records.
    gaps = [
        Check(f"ledger behind the journal of {relay.name}", True, str(relay.ledger_gap))
        for relay in relays
        if relay.ledger_gap is not None
    ]
    if archive_trouble is not None:
        said = f"since {archive_trouble.since:%H:%M:%S} UTC, segments stay in the journals: {archive_trouble.message}"
        gaps.append(Check("archive", True, said))
    delivery = [_sink(sink, is_needed=not has_ledger and len(sinks) == 1) for sink in sinks]
    return [_relays(relays, len(fresh), expected), *journals, *troubles, *_targets(fresh), ledger, *gaps, *delivery]


def targets_by_relay(relays: list[RelayStatus]) -> list[RelayTargets]:
    """Of the relays that have ever told."""
    return [RelayTargets(one.name, one.fresh, one.journal.targets) for one in relays if one.journal is not None]


def _targets(relays: list[RelayStatus]) -> list[Check]:
    """One for each deployment and relay, told and no more: another gateway would find its upstreams no better."""
    checks = []
    for relay in targets_by_relay(relays):
        by_deployment: dict[str, list[TargetStatus]] = {}
        for target in relay.targets:
            by_deployment.setdefault(target.deployment, []).append(target)
        checks += [
            Check(f"targets of {deployment} in {relay.relay}", True, "; ".join(map(str, targets)))
            for deployment, targets in by_deployment.items()
        ]
    return checks


def _sink(sink: SinkStatus, *, is_needed: bool) -> Check:
    if sink.failing_since is None:
        return Check(f"sink {sink.name}", True, "takes what it is sent")
    said = f"fails since {sink.failing_since:%H:%M:%S} UTC, its records wait in the journal: {sink.last_error}"
    return Check(f"sink {sink.name}", not is_needed, said)


def _relays(relays: list[RelayStatus], fresh: int, expected: int) -> Check:
    message = f"{fresh} of {expected} have said within seconds that they are well"
    if fresh >= expected:
        return Check("relays", True, message)
    last = [f"{relay.name} {_last_heard(relay.age)}" for relay in relays if not relay.fresh]
    return Check("relays", False, "; ".join([message, *last]))


def _last_heard(age: float | None) -> str:
    return "never did" if age is None else f"did {age:.0f} s ago"


def _journal(name: str, journal: JournalStatus) -> Check:
    failing = journal.failing_since
    message = f"its disk takes nothing since {failing:%H:%M:%S} UTC: {journal.last_error}" if failing else "is written"
    return Check(f"journal of {name}", failing is None, message)


def _ledger(relays: list[RelayStatus], error: str | None, has_ledger: bool, since: datetime | None) -> Check:
    if error is not None:
        return Check("ledger", False, f"since {since:%H:%M:%S} UTC: {error}" if since else error)
    if not has_ledger:
        return Check("ledger", True, "none is kept here; records go to the sinks")
    lags = [(relay.name, relay.lag_bytes or 0) for relay in relays]
    if behind := [f"{lag // 1024**2} MB of {name}" for name, lag in lags if lag > MOST_LAG_BYTES]:
        return Check("ledger", False, f"is behind; not posted yet: {', '.join(behind)}")
    return Check("ledger", True, "has what the journals hold")
