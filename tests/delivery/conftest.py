"""Settings of sinks, and shippers that run to their end without waiting."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.clocks import JumpingClock
from support.journals import NOW
from tokenweir.delivery import DeadLetters, Shipper, Source
from tokenweir.delivery.shipping import JournalsSource
from tokenweir.delivery.sinks import ConnectionSettings, Sink, SinkSettings

Told = Callable[..., SinkSettings]


@pytest.fixture(scope="session")
def told() -> Told:
    def make(**settings: Any) -> SinkSettings:
        usual: dict[str, Any] = {"name": "hub", "kind": "event_hubs", "connection": ConnectionSettings()}
        return SinkSettings(**(usual | settings))

    return make


class Run:
    """One run of a shipper, from the cursor until it has nothing left to do. Pauses take no time."""

    def __init__(self, root: Path, sink: Sink, settings: SinkSettings, source: Source | None = None) -> None:
        self.pauses: list[float] = []
        self.most_pauses = 1_000
        self.shipper = Shipper(
            settings,
            sink,
            source or JournalsSource(root / "journal", "sink-hub"),
            DeadLetters(root / "dead.jsonl", settings.name, JumpingClock(NOW)),
            JumpingClock(NOW),
            chance=lambda: 1.0,
            pause=self._pause,
        )

    async def _pause(self, seconds: float) -> None:
        if self.shipper.status().failing_since is None or len(self.pauses) == self.most_pauses:
            self.shipper.stop()
        else:
            self.pauses.append(seconds)
        await asyncio.sleep(0)

    def to_its_end(self) -> "Run":
        asyncio.run(self.shipper.run())
        return self


@pytest.fixture
def ship(tmp_path: Path, told: Told) -> Callable[..., Run]:
    def start(sink: Sink, source: Source | None = None, **settings: Any) -> Run:
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
