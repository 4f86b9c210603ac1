"""What the calls of one relay process share. Nothing here knows a call."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Protocol

from ..deployments import Catalogue
from ..policy import Keyring
from ..records import CallRecord, Clock
from ..upstream import Upstream
from .admit import LimitRule
from .cors import Cors
from .estimator import Estimator
from .held_body import BodyBudget
from .own_names import OwnNames
from .refusals import Refusals
from .settings import ServerSettings
from .subjects import SubjectRule
from .tracing import Tracing

__all__ = ["OpenCall", "OpenCalls", "RecordLog", "Services", "Tasks"]

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


class Services:
    """One bundle for each configuration, not to be changed. A call keeps the one that it began with."""

    def __init__(
        self,
        settings: ServerSettings,
        clock: Clock,
        journal: RecordLog,
        tracing: Tracing,
        calls: OpenCalls,
        tasks: Tasks,
        estimator: Estimator,
        bodies: BodyBudget,
        refusals: Refusals,
        cors: Cors | None,
        own_names: OwnNames | None,
        keyring: Keyring,
        catalogue: Catalogue,
        upstreams: dict[str, Upstream],
        limits: LimitRule | None,
        *,
        is_strict: bool,
        keeps_content: bool,
        hears_sessions: bool,
    ) -> None:
        """``own_names`` is ``None`` where a host lets in only whom it knows; ``limits``, where there are none.
        ``is_strict``: whether an answer's end
        waits for its record to be on disk. ``keeps_content``: whether records hold the bodies of requests and
        answers. ``hears_sessions``: whether the books listen to sessions that pass by."""
        # for the process
        self.settings = settings
        rule = SubjectRule(settings.subject_from, settings.subject_secret) if settings.subject_from else None
        self.subjects: SubjectRule | None = rule
        self.clock = clock
        self.journal = journal
        self.tracing = tracing
        self.calls = calls
        self.tasks = tasks
        self.estimator = estimator
        self.bodies = bodies
        self.refusals = refusals
        self.cors = cors
        self.is_strict = is_strict
        self.keeps_content = keeps_content
        self.hears_sessions = hears_sessions
        # for one configuration
        self.own_names = own_names
        self.keyring = keyring
        self.catalogue = catalogue
        self.upstreams = upstreams
        self.limits = limits

    def with_configuration(
        self,
        own_names: OwnNames | None,
        keyring: Keyring,
        catalogue: Catalogue,
        upstreams: dict[str, Upstream],
        limits: LimitRule | None,
    ) -> "Services":
        """What stays for the process, with another configuration."""
        return Services(
            self.settings,
            self.clock,
            self.journal,
            self.tracing,
            self.calls,
            self.tasks,
            self.estimator,
            self.bodies,
            self.refusals,
            self.cors,
            own_names,
            keyring,
            catalogue,
            upstreams,
            limits,
            is_strict=self.is_strict,
            keeps_content=self.keeps_content,
            hears_sessions=self.hears_sessions,
        )
