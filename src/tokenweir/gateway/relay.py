"""What all calls of one relay process share: configuration, connections, journal, and who is under way."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

from ..deployments import Catalogue, Target
from ..errors import Refusal
from ..metering import estimate, estimate_apart
from ..policy import Keyring
from ..records import CallRecord, Clock, Usage
from ..upstream import Upstream
from .client import ClientConnection
from .cors import Cors
from .doorkeeper import Doorkeeper
from .familiar import Familiar
from .half_closed import HalfClosed
from .held_body import BodyBudget
from .own_names import OwnNames
from .refusals import Refusals
from .request import Ending, Request
from .settings import ServerSettings
from .tracing import Tracing
from .walk import Walk

__all__ = ["Log", "Relay"]

_log = logging.getLogger(__name__)

# Fine enough for limits of many seconds. A look at one of 5,000 open streams costs some 2 µs.
SWEEP_SECONDS = 1.0
# A disk that is well commits in milliseconds; one that is not must not hold up the end.
_COMMIT_SECONDS = 5.0


class Log(Protocol):
    """Where records go: the journal, as the gateway needs it."""

    replica: str

    @property
    def accepts_calls(self) -> bool: ...

    def next_seq(self) -> int: ...

    def append(self, record: CallRecord, on_durable: Callable[[], None] | None = None) -> None: ...


class Relay:
    """One process's data port. Configuration can be exchanged while calls are under way: each keeps its own."""

    def __init__(
        self,
        settings: ServerSettings,
        journal: Log,
        clock: Clock,
        tracing: Tracing,
        *,
        is_strict: bool,
        keeps_content: bool,
    ) -> None:
        # for the process
        self.settings = settings
        self.journal = journal
        self.clock = clock
        self.tracing = tracing
        self.is_strict = is_strict
        self.keeps_content = keeps_content
        self.is_stopping = False
        self.bodies = BodyBudget(settings.max_buffered)
        self.refusals = Refusals(clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._estimator = ThreadPoolExecutor(1, thread_name_prefix="estimator")
        self._estimates = 0
        self._all_estimated = asyncio.Event()
        self._all_ended = asyncio.Event()
        self.doorkeeper = Doorkeeper(settings)
        self.cors = Cors(settings.cors_origins) if settings.cors_origins else None
        self._half_closed = HalfClosed()
        self.own_names: OwnNames | None = OwnNames(settings)
        """``None`` where a host lets in only whom it knows."""
        # for one configuration
        self.keyring: Keyring
        self.catalogue: Catalogue
        self.upstreams: dict[str, Upstream] = {}
        # under way
        self.walks: set[Walk] = set()
        self.clients: set[ClientConnection] = set()

    def __repr__(self) -> str:
        return f"<Relay {len(self.walks)} calls on {len(self.clients)} connections, {self._estimates} estimates>"

    def configure(self, keyring: Keyring, catalogue: Catalogue, upstreams: dict[str, Upstream]) -> None:
        """Takes a configuration. Calls under way finish with the one they began with."""
        before, self.upstreams = self.upstreams, upstreams
        self.keyring, self.catalogue = keyring, catalogue
        for upstream in before.values():
            upstream.pool.close()

    def new_connection(self, refusal: Refusal | None = None) -> ClientConnection:
        """The protocol factory for the data port. With ``refusal`` that is the answer to the first request."""
        return ClientConnection(
            self.settings, self.clock, self._new_walk, self.clients, self.doorkeeper, self._half_closed, refusal
        )

    def _new_walk(self, client: ClientConnection) -> Walk:
        if client.familiar is None:
            client.familiar = Familiar()
        return Walk(self, client, client.familiar)

    def ended(self, walk: Walk) -> None:
        """A client has its answer, or never will."""
        self.walks.discard(walk)
        if self.is_stopping and not self.walks:
            self._all_ended.set()

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Starts something that has to be waited for. The relay keeps it, and says if it fails."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a task of the relay failed", exc_info=task.exception())

    # --- estimates: counting is heavy, so it happens in a thread, and its result comes back into the loop ---

    def estimate(
        self,
        request: Request,
        ending: Ending,
        target: Target | None,
        upstream: Upstream | None,
        then: Callable[[Usage], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        reading = ending.reading
        model = (reading.response_model if reading else None) or (target.model if target else None) or request.model
        self._estimates += 1
        how = {
            "ended_normally": ending.outcome == "completed",
            "azure": upstream is not None and upstream.provider.bills_end_tokens,
        }
        api = request.address.route.api
        if request.pieces is not None:
            future = self._estimator.submit(estimate_apart, api, request.pieces, reading, model, **how)
        else:
            future = self._estimator.submit(estimate, api, request.body, reading, model, **how)

        def counted(done: Future[Usage]) -> None:
            loop.call_soon_threadsafe(self._estimated, done, then)

        future.add_done_callback(counted)

    def _estimated(self, done: Future[Usage], then: Callable[[Usage], None]) -> None:
        self._estimates -= 1
        error = done.exception()
        if error is not None:
            _log.error("the usage of a call could not be estimated", exc_info=error)
        then(Usage() if error is not None else done.result())
        if self.is_stopping and not self._estimates:
            self._all_estimated.set()

    # --- the sweeper ---

    def sweep(self) -> None:
        """Looks after time limits: once for all calls, so that no call needs a timer of its own."""
        now = self.clock.monotonic()
        self.doorkeeper.look()
        for walk in list(self.walks):
            walk.tick(now)
        for client in list(self.clients):
            client.tick(now)
        for upstream in self.upstreams.values():
            upstream.pool.close_aged()

    # --- the end ---

    def abort(self) -> None:
        """Ends what is under way, as ``aborted``."""
        for walk in list(self.walks):
            walk.abort()

    async def drain(self, grace: float) -> None:
        """Takes nothing new, lets calls finish for ``grace`` seconds, then ends the rest as ``aborted``."""
        self.is_stopping = True
        for client in list(self.clients):
            client.stop()
        if self.walks:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), grace)
        self.abort()
        if self._estimates:
            self._all_estimated.clear()  # an estimate may have ended during the grace
            await self._all_estimated.wait()
        if self.walks:  # strict: the ends of their answers wait for the disk
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), _COMMIT_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        for upstream in self.upstreams.values():
            upstream.pool.close()
        for client in list(self.clients):
            client.close()
        self._half_closed.close()
        self._estimator.shutdown()
