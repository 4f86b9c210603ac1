"""One relay process's data port: its connections, its calls, and what they share."""

import asyncio
from contextlib import suppress
from typing import cast

from ..deployments import Catalogue
from ..errors import Refusal
from ..policy import Keyring
from ..records import Clock
from ..upstream import Upstream
from .admit import LimitRule
from .call import Call
from .client_connection import ClientConnection
from .cors import Cors
from .doorkeeper import Doorkeeper
from .estimator import Estimator
from .half_closed import HalfClosed
from .head_cache import HeadCache
from .held_body import BodyBudget
from .own_names import OwnNames
from .probing import probe_targets
from .refusals import Refusals
from .request import Client
from .services import OpenCalls, RecordLog, Services, Tasks
from .settings import ServerSettings
from .tracing import Tracing

__all__ = ["SWEEP_SECONDS", "DataPlane"]

# Fine enough for limits of many seconds. A look at one of 5,000 open streams costs some 2 µs.
SWEEP_SECONDS = 1.0
# A disk that is well commits in milliseconds; one that is not must not hold up the end.
_COMMIT_SECONDS = 5.0


class _Same:
    """Stands for what was not given, where nothing can be."""


_SAME = _Same()


class DataPlane:
    """Makes calls of what clients send. Its configuration can be exchanged while calls are under way: each keeps the
    one that it began with."""

    def __init__(
        self,
        settings: ServerSettings,
        journal: RecordLog,
        clock: Clock,
        tracing: Tracing,
        keyring: Keyring,
        catalogue: Catalogue,
        upstreams: dict[str, Upstream],
        limits: LimitRule | None = None,
        *,
        is_strict: bool,
        keeps_content: bool,
        hears_sessions: bool = False,
    ) -> None:
        self.clients: set[ClientConnection] = set()
        self.doorkeeper = Doorkeeper(settings)
        self._half_closed = HalfClosed()
        self.services = Services(
            settings=settings,
            clock=clock,
            journal=journal,
            tracing=tracing,
            is_strict=is_strict,
            keeps_content=keeps_content,
            hears_sessions=hears_sessions,
            calls=OpenCalls(),
            tasks=Tasks(),
            estimator=Estimator(),
            bodies=BodyBudget(settings.max_buffered),
            refusals=Refusals(clock),
            cors=Cors(settings.cors_origins) if settings.cors_origins else None,
            own_names=OwnNames(settings),
            keyring=keyring,
            catalogue=catalogue,
            upstreams=upstreams,
            limits=limits,
        )

    def __repr__(self) -> str:
        pending = self.services.estimator.pending
        return f"<DataPlane {len(self.calls)} calls on {len(self.clients)} connections, {pending} estimates>"

    @property
    def calls(self) -> set[Call]:
        """Those whose clients wait for an answer."""
        return cast("set[Call]", self.services.calls.open)  # none but `new_call` makes one

    @property
    def held(self) -> int:
        """How many calls and connections there are, to clients and to upstreams."""
        upstreams = self.services.upstreams.values()
        return len(self.calls) + len(self.clients) + sum(upstream.pool.size for upstream in upstreams)

    @property
    def is_stopping(self) -> bool:
        return self.services.calls.is_stopping

    def configure(
        self,
        *,
        keyring: Keyring | None = None,
        catalogue: Catalogue | None = None,
        upstreams: dict[str, Upstream] | None = None,
        limits: "LimitRule | None | _Same" = _SAME,
    ) -> None:
        """Exchanges what is given. Calls under way finish with what they began with."""
        before = self.services
        if catalogue is not None:
            catalogue.take_effect()
        self.services = before.with_configuration(
            before.own_names,
            keyring or before.keyring,
            catalogue or before.catalogue,
            before.upstreams if upstreams is None else upstreams,
            before.limits if isinstance(limits, _Same) else limits,
        )
        if keyring is not None and before.settings.on_key_revoked == "end":
            for call in list(self.calls):
                call.look_at_key(keyring)
        if upstreams is not None:
            for upstream in before.upstreams.values():
                upstream.pool.close()

    def trust_host(self) -> None:
        """For a host that lets in only whom it knows: then an open gateway need not ask by which name it is called."""
        before = self.services
        self.services = before.with_configuration(
            None, before.keyring, before.catalogue, before.upstreams, before.limits
        )

    def new_connection(self, refusal: Refusal | None = None) -> asyncio.Protocol:
        """The protocol factory for the data port. With ``refusal`` that is the answer to the first request."""
        services = self.services
        client = ClientConnection(
            services.settings,
            services.clock,
            self.new_call,
            self.clients,
            self.doorkeeper,
            self._half_closed,
            refusal,
        )
        return cast(asyncio.Protocol, client)

    def new_call(self, client: Client, head_cache: HeadCache) -> Call:
        return Call(self.services, client, head_cache)

    def sweep(self) -> None:
        """Looks after time limits: once for all calls, so that no call needs a timer of its own."""
        now = self.services.clock.monotonic()
        self.doorkeeper.look()
        for call in list(self.calls):
            call.tick(now)
        for client in list(self.clients):
            client.tick(now)
        for upstream in self.services.upstreams.values():
            upstream.pool.close_aged()
            upstream.credential.look()
        probe_targets(self.services)
        if self.services.limits is not None:
            self.services.limits.tell()

    def abort(self) -> None:
        """Ends what is under way, as ``aborted``."""
        for call in list(self.calls):
            call.abort()

    async def drain(self, grace: float) -> None:
        """Takes nothing new, lets calls finish for ``grace`` seconds, then ends the rest as ``aborted``."""
        services, calls = self.services, self.services.calls
        calls.is_stopping = True
        for client in list(self.clients):
            client.stop()
        if calls.open:
            with suppress(TimeoutError):
                await asyncio.wait_for(calls.all_ended.wait(), grace)
        self.abort()
        await services.estimator.finish()
        if calls.open:  # strict: the ends of their answers wait for the disk
            with suppress(TimeoutError):
                await asyncio.wait_for(calls.all_ended.wait(), _COMMIT_SECONDS)
        if services.limits is not None:
            services.limits.tell(is_last=True)
        services.tasks.cancel()
        for upstream in services.upstreams.values():
            upstream.pool.close()
        for client in list(self.clients):
            client.close()
        self._half_closed.close()
        services.estimator.close()
