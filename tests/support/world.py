"""A world for bad days: a simulator, upstreams that misbehave, relays, and what was logged meanwhile."""

import logging
import ssl
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tokenweir.deployments import DeploymentSettings, TargetSettings
from tokenweir.simulator import HostedSimulator, SentCall
from tokenweir.upstream import CredentialSettings, UpstreamSettings

from .disks import small_disk
from .raw_client import RawClient, chat_request
from .relay_thread import HOSTS, Host, RelayThread, running_relay
from .scripted import Play, ScriptedUpstream, scripted

__all__ = ["Errors", "World", "on_both_hosts"]


on_both_hosts = pytest.mark.parametrize("world", HOSTS, indirect=True)
"""Runs a test with the fast server and with the ASGI application in uvicorn."""

# How uvicorn says that it cut a connection because the answer was not to become whole.
_CUT = "ASGI callable returned without completing response."


class Errors(logging.Handler):
    """What was logged as an error, from any thread."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() != _CUT:
            self._messages.append(self.format(record))

    def taken(self) -> list[str]:
        """What has been logged so far; whoever takes it had expected it."""
        taken, self._messages = self._messages, []
        return taken


class World:
    """What a test starts here is stopped at its end, after a check that its relays are well."""

    def __init__(self, folder: Path, sim: HostedSimulator, stack: ExitStack, host: Host = "fast") -> None:
        self.folder = folder
        self.host: Host = host
        """What the relays run in, unless they are told otherwise."""
        self.sim = sim
        self.errors = Errors()
        self.tls: ssl.SSLContext | None = None
        """What the check's own client trusts, where the relays speak TLS."""
        self._run = uuid4().hex
        self._stack = stack
        self._relays: list[RelayThread] = []

    def upstream(self, play: Play) -> ScriptedUpstream:
        """An upstream of which each connection is played by ``play``."""
        return self._stack.enter_context(scripted(play))

    def small_disk(self, megabytes: int = 1) -> Path:
        """A disk that is soon full."""
        return self._stack.enter_context(small_disk(self.folder / "disk", megabytes))

    def relay(
        self,
        *faulty: str | ScriptedUpstream,
        then_sim: bool = False,
        upstream_settings: dict[str, Any] | None = None,
        pool: dict[str, Any] | None = None,
        folder: Path | None = None,
        **options: Any,
    ) -> RelayThread:
        """A relay in front of the simulator.

        ``faulty`` are the targets, in this order, of a deployment called ``faulty``; ``then_sim`` puts the
        simulator behind them. Their limits are ``upstream_settings``; ``pool`` are settings of the deployment.
        """
        urls = [upstream if isinstance(upstream, str) else upstream.url for upstream in faulty]
        named = {"sim": self.sim.url} | {f"faulty-{number}": url for number, url in enumerate(urls)}
        limits = {"credential": CredentialSettings(key="upstream-key"), **(upstream_settings or {})}
        upstreams = [UpstreamSettings(name, url, **limits) for name, url in named.items()]
        targets = [TargetSettings(name, priority=number) for number, name in enumerate([*list(named)[1:], "sim"])]
        deployments = [DeploymentSettings("gpt-4o", [TargetSettings("sim")])]
        if faulty:
            targets = targets if then_sim else targets[:-1]
            deployments.append(DeploymentSettings("faulty", targets, **(pool or {})))
        options.setdefault("deployments", deployments)
        options.setdefault("host", self.host)
        relay = self._stack.enter_context(running_relay(folder or self.folder, upstreams, **options))
        self._relays.append(relay)
        return relay

    def named(self, name: str) -> str:
        """The header line by which a call is found in the simulator's book."""
        return f"x-client-request-id: {self._run}-{name}"

    def sent(self, name: str) -> SentCall:
        """The simulator's entry of the call with this name, once the call has ended there."""
        calls = self.sim.calls
        while not (found := [call for call in calls if call.client_request_id == f"{self._run}-{name}"]):
            calls = self.sim.wait_for_calls(len(calls) + 1)
        (only,) = found
        return only

    def sent_calls(self) -> list[SentCall]:
        """All named calls that came to the simulator and have ended there, oldest first."""
        return [call for call in self.sim.calls if (call.client_request_id or "").startswith(self._run)]

    def check(self) -> None:
        """Every relay that is still up answers one more call, records it and nothing else, and has nothing
        left over."""
        for relay in self._relays:
            if relay.thread.is_alive() and relay.journal.accepts_calls:
                _assert_well(relay, self.tls)


def _assert_well(relay: RelayThread, tls: ssl.SSLContext | None) -> None:
    before = len(relay.records(0))
    with RawClient(relay.address, tls) as client:
        client.send(chat_request())
        assert client.read_answer().status == 200
    assert [record.outcome for record in relay.records(before + 1)[before:]] == ["completed"]
    relay.until(lambda: not relay.process.data_plane.calls)
    limits = relay.process.data_plane.services.limits
    assert limits is None or limits.limiter.counts.open == 0
