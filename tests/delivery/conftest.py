"""Settings of sinks, and delivery loops that run to their end without waiting."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.clocks import JumpingClock
from support.journals import NOW
from tokenweir.delivery import Delivery, Outlet, RecordSource, SinkStatus
from tokenweir.delivery.dead_letters import DeadEvents
from tokenweir.delivery.letter_files import LetterFile
from tokenweir.delivery.shipping import status_of
from tokenweir.delivery.sinks import EventHubsConnection, Sink, SinkSettings
from tokenweir.delivery.sources.journals import JournalsSource

Told = Callable[..., SinkSettings]


@pytest.fixture(scope="session")
def told() -> Told:
    def make(**settings: Any) -> SinkSettings:
        usual: dict[str, Any] = {"name": "hub", "kind": "event_hubs", "connection": EventHubsConnection()}
        return SinkSettings(**(usual | settings))

    return make


class Run:
    """One run of the delivery loop, from the cursor until it has nothing left to do. Pauses take no time."""

    def __init__(self, root: Path, sink: Sink[Any], settings: SinkSettings, source: RecordSource | None = None) -> None:
        self._settings = settings
        self.pauses: list[float] = []
        self.most_pauses = 1_000
        dead_events = DeadEvents(LetterFile(root / "dead.jsonl"), settings.name, JumpingClock(NOW))
        self.outlet = Outlet(settings, sink, dead_events, JumpingClock(NOW))
        self.delivery = Delivery(
            f"sink {settings.name}",
            source or JournalsSource(root / "journal", "sink-hub"),
            [self.outlet],
            JumpingClock(NOW),
            chance=lambda: 1.0,
            pause=self._pause,
        )

    async def _pause(self, seconds: float) -> None:
        if self.delivery.failing_since is None or len(self.pauses) == self.most_pauses:
            self.delivery.stop()
        else:
            self.pauses.append(seconds)
        await asyncio.sleep(0)

    def status(self) -> SinkStatus:
        return status_of(self._settings, self.outlet, self.delivery)

    def to_its_end(self) -> "Run":
        asyncio.run(self.delivery.run())
        return self


@pytest.fixture
def ship(tmp_path: Path, told: Told) -> Callable[..., Run]:
    def start(sink: Sink[Any], source: RecordSource | None = None, **settings: Any) -> Run:
        return Run(tmp_path, sink, told(**settings), source)

    return start


@pytest.fixture
def letters(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """The dead letters there are."""

    def read() -> list[dict[str, Any]]:
        file = tmp_path / "dead.jsonl"
        return [msgspec.json.decode(line) for line in file.read_bytes().splitlines()] if file.exists() else []

    return read


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
