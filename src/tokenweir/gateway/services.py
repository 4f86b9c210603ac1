"""What the calls of one relay process share. Nothing here knows a call."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import msgspec

from ..apis import surface_of
from ..deployments import Catalogue, Target
from ..metering import estimate, estimate_apart
from ..policy import Keyring
from ..records import CallRecord, Clock, Usage
from ..upstream import Upstream
from .cors import Cors
from .held_body import BodyBudget
from .own_names import OwnNames
from .refusals import Refusals
from .request import Ending, Request
from .settings import ServerSettings
from .tracing import Tracing

__all__ = ["Estimator", "OpenCall", "OpenCalls", "RecordLog", "Services", "Tasks"]

_log = logging.getLogger(__name__)


class RecordLog(Protocol):
    """Where records go: the journal, as the gateway needs it."""

    replica: str

    @property
    def accepts_calls(self) -> bool: ...

    def next_seq(self) -> int: ...

    def append(self, record: CallRecord, on_durable: Callable[[], None] | None = None) -> None: ...


class OpenCall(Protocol):
    """A call as those see it who look after all of them."""

    def tick(self, now: float) -> None: ...

    def abort(self) -> None: ...


class OpenCalls:
    """The calls whose clients wait for an answer."""

    def __init__(self) -> None:
        self.open: set[OpenCall] = set()
        self.is_stopping = False
        """Whether no further ones are let in."""
        self.all_ended = asyncio.Event()
        """Set once the last one ends after ``is_stopping``."""

    def ended(self, call: OpenCall) -> None:
        """Its client has the answer, or never will."""
        self.open.discard(call)
        if self.is_stopping and not self.open:
            self.all_ended.set()


class Tasks:
    """What has to be waited for: new connections, tokens, large bodies. Never a chunk."""

    def __init__(self) -> None:
        self.under_way: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Keeps the task until it ends, and logs it if it fails."""
        task = asyncio.get_running_loop().create_task(work)
        self.under_way.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self.under_way.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a task of the relay failed", exc_info=task.exception())

    def cancel(self) -> None:
        for task in list(self.under_way):
            task.cancel()


class Estimator:
    """Counts the tokens of calls whose usage nobody reported: in a thread, as counting is heavy."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="estimator")
        self._none_left = asyncio.Event()
        self.pending = 0

    def estimate(
        self,
        request: Request,
        ending: Ending,
        target: Target | None,
        upstream: Upstream | None,
        then: Callable[[Usage], None],
    ) -> None:
        """``then`` gets the result in the loop; the empty usage where counting failed, which is logged."""
        loop = asyncio.get_running_loop()
        reading = ending.reading
        model = (reading.response_model if reading else None) or (target.model if target else None) or request.model
        self.pending += 1
        how = {
            "ended_normally": ending.outcome == "completed",
            "azure": upstream is not None and upstream.provider.bills_end_tokens,
        }
        api = request.address.route.api
        if request.pieces is not None and surface_of(api).estimate is not None:
            future = self._pool.submit(estimate_apart, api, request.pieces, reading, model, **how)
        else:
            future = self._pool.submit(estimate, api, request.body, reading, model, **how)

        def counted(done: Future[Usage]) -> None:
            loop.call_soon_threadsafe(self._estimated, done, then)

        future.add_done_callback(counted)

    def _estimated(self, done: Future[Usage], then: Callable[[Usage], None]) -> None:
        self.pending -= 1
        error = done.exception()
        if error is not None:
            _log.error("the usage of a call could not be estimated", exc_info=error)
        then(Usage() if error is not None else done.result())
        if not self.pending:
            self._none_left.set()

    async def finish(self) -> None:
        """Returns when nothing is pending."""
        while self.pending:
            self._none_left.clear()
            await self._none_left.wait()

    def close(self) -> None:
        self._pool.shutdown()


class Services(msgspec.Struct, frozen=True):
    """One bundle for each configuration. A call keeps the one that it began with."""

    # for the process
    settings: ServerSettings
    clock: Clock
    journal: RecordLog
    tracing: Tracing
    is_strict: bool
    """Whether an answer's end waits for its record to be on disk."""
    keeps_content: bool
    """Whether records hold the bodies of requests and answers."""
    calls: OpenCalls
    tasks: Tasks
    estimator: Estimator
    bodies: BodyBudget
    refusals: Refusals
    cors: Cors | None
    own_names: OwnNames | None
    """``None`` where a host lets in only whom it knows."""
    # for one configuration
    keyring: Keyring
    catalogue: Catalogue
    upstreams: dict[str, Upstream]
