"""The application over a real ledger, asked without a socket; relays are as each test says they are."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from support.clocks import JumpingClock
from support.engines import open_filled
from tokenweir.admin import AccountsApi, ConfigInForce, LedgerStatus, Metrics, RelayStatus, ServiceLists, create_app
from tokenweir.delivery import SinkStatus
from tokenweir.journal import JournalStatus
from tokenweir.ledger import Ledger, Person
from tokenweir.limits import LimitState
from tokenweir.policy import CallerSettings, DebugTokens, Identity, Keyring, KeysFile
from tokenweir.records import CallRecord, from_fields
from tokenweir.statements import ReRating, StatementBooks, StatementSettings

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


class Gateway:
    """What surrounds the application, for a test to change: journals with calls to post, relays, a token."""

    def __init__(self, ledger: Ledger, keys: Path) -> None:
        self.ledger = ledger
        self.keys = keys
        self.has_ledger = True
        self.clock = JumpingClock(NOW)
        self.price: Callable[[CallRecord], CallRecord] = lambda record: record
        self.waiting: list[CallRecord] = []
        self.relays: list[RelayStatus] = []
        self.sinks: list[SinkStatus] = []
        self.limits: list[LimitState] = []
        self.expected_relays = 1
        self.ledger_status = LedgerStatus()
        self.token: str | None = None
        self.metrics = Metrics(lambda: self.relays, lambda: self.sinks)

    def catch_up(self) -> None:
        while self.waiting:
            self.ledger.post([self.waiting.pop(0)], "relay-0", "1")

    async def erase(self, person: Person) -> dict[str, int]:
        return {"calls": self.ledger.erase(person)}

    def identify(self, key: bytes | None) -> Identity:
        digest = sha256(b"key-of-ada").hexdigest()
        return Keyring([CallerSettings("ada", key_sha256=digest)], []).identify(key, NOW)

    def app(self) -> Starlette:
        return create_app(
            self.ledger if self.has_ledger else None,
            catch_up=self.catch_up,
            erase=self.erase,
            bring=lambda records: self.ledger.post(records, "import", None),
            metrics=self.metrics,
            token=self.token,
            identify=self.identify,
            relays=lambda: self.relays,
            sinks=lambda: self.sinks,
            expected_relays=self.expected_relays,
            keys=KeysFile(self.keys),
            groups=lambda: ["gold"],
            limits=lambda: self.limits,
            ledger_status=lambda: self.ledger_status,
            configuration=lambda: ConfigInForce("/etc/tokenweir.toml", ["[server]", 'data = "127.0.0.1:8080"'], 7),
            accounts=AccountsApi(
                lambda: (
                    StatementBooks(self.ledger, StatementSettings(), JumpingClock(NOW)) if self.has_ledger else None
                ),
                lambda: ReRating(self.ledger, lambda record: record, JumpingClock(NOW)) if self.has_ledger else None,
                self.catch_up,
            ),
            service=ServiceLists(("0.0.0.0", 8080), lambda: ["team-a"], key="a key"),
            debug_tokens=DebugTokens("a secret", "openai"),
            clock=JumpingClock(NOW),
        )

    def ask(self, path: str, method: str = "GET", **what: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app(), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8081") as client:
                return await client.request(method, path, **what)

        return asyncio.run(ask())


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """Four calls of two callers, one an hour, the newest an hour ago."""
    ledger = open_filled(tmp_path)
    calls = [
        from_fields(
            call_id=f"call-{number}",
            started_at=NOW - timedelta(hours=4 - number),
            caller=("ada", "bob")[number % 2],
            deployment="gpt-4o",
            tags={"cost_centre": "4711"},
            usage_source="reported",
            total_tokens=10 * number,
            cost=Decimal("0.01") * number,
            currency="EUR",
            request_body='{"messages": []}',
        )
        for number in range(4)
    ]
    ledger.post(calls, "relay-0", "4")
    yield Gateway(ledger, tmp_path / "keys.json")
    ledger.close()


@pytest.fixture(scope="session")
def make_relay() -> Callable[..., RelayStatus]:
    """A relay that is well, unless something else is asked for; the rest goes to its journal's status."""

    def make(
        name: str = "relay-0",
        *,
        age: float | None = 0.5,
        lag_bytes: int | None = None,
        keys_digest: int = 0,
        **journal: Any,
    ) -> RelayStatus:
        status: dict[str, Any] = {
            "replica": name,
            "written_at": NOW,
            "running": True,
            "records_written": 7,
            "bytes_written": 700,
            "commits": 3,
            "last_commit_ms": 1.5,
            "waiting_records": 0,
            "waiting_bytes": 0,
            "content_shed": 0,
            "records_lost": 0,
            "failing_since": None,
            "last_error": None,
        }
        return RelayStatus(
            name=name,
            fresh=age is not None and age < 5,
            age=age,
            gauges={"active_calls": 2, "open_connections": 5, "keys_digest": keys_digest},
            journal=JournalStatus(**(status | journal)),
            lag_bytes=lag_bytes,
        )

    return make
