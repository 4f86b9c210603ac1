"""Listens to sessions that pass by the gateway: one WebSocket of the books' own to each, on which nothing is said.

What is told on it is metered as on a WebSocket that is relayed. A record of each response is written as it ends; one of
the session when it has ended, and then the row is closed. Where the socket breaks it is opened again, until the
upstream does not know the session any more; what was told meanwhile nobody has heard.
"""

import asyncio
import base64
import logging
import os
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from msgspec.structs import replace

from ..apis import observer_of, surface_of
from ..errors import JournalError, Refusal, place_of
from ..metering import SocketMeter, UsedOnSocket
from ..records import NO_USAGE, SESSION, CallRecord, Clock, Usage
from ..upstream import Receiver, Upstream, UpstreamConnection
from ..wire import FrameReader, ResponseHead, accept_of, close_frame, pong_frame
from .asking import Question, QuestionFailed
from .billing import JobLog
from .record import given_up_record, heard_record, session_record
from .settings import JobsSettings
from .table import Job, JobKey, JobTable

__all__ = ["Listeners"]

_log = logging.getLogger(__name__)

# Of sockets at once; the others wait until one ends.
_AT_ONCE = 1_000
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 30.0
_ANSWER_SECONDS = 30.0
# On Azure a session ends after an hour.
_LONGEST_SESSION = timedelta(days=1)
# A resource that has just made a session may not know it yet everywhere.
_TIMES_MISSING = 3
_GONE = (400, 404, 410)
_UPGRADE = (b"connection: Upgrade", b"upgrade: websocket", b"sec-websocket-version: 13")
_ACCEPT = re.compile(rb"\r\nsec-websocket-accept:[ \t]*([^\r\n]*?)[ \t]*(?:\r|$)", re.IGNORECASE)


class Listeners:
    """One for the table. ``look`` begins with what is new; ``close`` ends all, which the next start resumes."""

    def __init__(
        self, table: JobTable, log: JobLog, upstreams: Mapping[str, Upstream], settings: JobsSettings, clock: Clock
    ) -> None:
        self._table = table
        self._log = log
        self._upstreams = upstreams
        self._settings = settings
        self._clock = clock
        self._tasks: dict[JobKey, asyncio.Task[None]] = {}

    def look(self) -> None:
        """Raises ``JournalError``."""
        for job in self._table.open_of(SESSION):
            if job.key not in self._tasks and len(self._tasks) < _AT_ONCE and job.made is not None:
                self._tasks[job.key] = asyncio.get_running_loop().create_task(self._listen(job, job.made))

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, job: Job, made: CallRecord) -> None:
        try:
            await self._until_it_ends(job, made)
        except JournalError as error:
            _log.error("the session %s is listened to again: %s", job.key.id, error)
        except Exception as error:
            _log.error("the session %s is listened to again: %s", job.key.id, place_of(error))
        finally:
            del self._tasks[job.key]

    async def _until_it_ends(self, job: Job, made: CallRecord) -> None:
        heard = _Heard(self._log, job, made, self._clock)
        pause, missing, breaks = _FIRST_PAUSE_SECONDS, 0, job.asked
        while True:
            try:
                socket = await self._open(job, made, heard)
            except (QuestionFailed, Refusal, TimeoutError, OSError) as error:
                missing += isinstance(error, QuestionFailed) and error.status in _GONE
                job = job._replace(failures=job.failures + 1, last_error=str(error) or "it does not answer")
                if missing >= (1 if job.asked else _TIMES_MISSING):
                    break
            else:
                job, pause, missing = job._replace(asked=job.asked + 1, last_error=None), _FIRST_PAUSE_SECONDS, 0
                self._table.put(job)
                if await socket.ended():
                    break
                breaks += 1
            if self._clock.now() - job.made_at > _LONGEST_SESSION:
                break
            self._table.put(job)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        if not job.asked:
            _log.warning("the session %s of %s could not be listened to: %s", job.key.id, made.caller, job.last_error)
            await heard.write(given_up_record(job, made, str(job.last_error), self._clock.now()))
            self._table.put(job._replace(state="given_up"))
            return
        await heard.write(session_record(job, made, heard.usage(), heard.model, made.started_at, is_whole=not breaks))
        self._table.put(job._replace(state="closed"))

    async def _open(self, job: Job, made: CallRecord, heard: "_Heard") -> "_Socket":
        """Raises ``QuestionFailed``, ``Refusal``, ``TimeoutError`` or ``OSError``."""
        upstream = self._upstreams.get(made.backend or "")
        if upstream is None or not upstream.signs:
            raise QuestionFailed(f"the gateway cannot sign in at {made.backend} by itself")
        tail, query = observer_of(made.path, job.key.id)
        key = base64.b64encode(os.urandom(16))
        if not upstream.credential.is_ready:
            await upstream.credential.obtain()
        lines = [*_UPGRADE, b"sec-websocket-key: " + key]
        head = Question(upstream, made.path, made.api_version).head(tail, query, lines)
        connection = await upstream.pool.connect()
        agreement = _Agreement()
        connection.begin(agreement, head, is_head_request=False, may_switch=True)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await agreement.head
            if answer.status != 101:
                raise QuestionFailed(f"upstream {upstream.name} answers {answer.status}", status=answer.status)
            accepted = _ACCEPT.search(answer.lines)
            if accepted is None or accepted[1] != accept_of(key):
                raise QuestionFailed(f"upstream {upstream.name} answers as if it had not read what it was asked")
        except BaseException:
            connection.abandon()
            raise
        socket = _Socket(heard.new_reader(), connection)
        transport, rest = connection.hand_over(cast(asyncio.BaseProtocol, socket))
        socket.begin(transport, rest)
        return socket


class _Heard:
    """What was told of one session, over all of its sockets. It is the meters' owner."""

    def __init__(self, log: JobLog, job: Job, made: CallRecord, clock: Clock) -> None:
        self._log = log
        self._job = job
        self._made = made
        self._clock = clock
        self._meter: SocketMeter | None = None
        self._unwritten = 0
        self._all_written = asyncio.Event()
        self._seconds: Usage | None = None

    @property
    def model(self) -> str | None:
        return self._meter.model if self._meter is not None else None

    def new_reader(self) -> FrameReader:
        """For a new socket, on which everything begins anew but for the seconds, which are sums."""
        self._seconds = self.usage()
        self._meter = SocketMeter(
            surface_of("realtime"),
            self,
            None,
            unpacks=False,
            keep_content=False,
            monotonic=self._clock.monotonic,
        )
        return FrameReader(self._meter)

    def usage(self) -> Usage:
        told = self._meter.session().usage if self._meter is not None else None
        return told or self._seconds or NO_USAGE

    def used(self, used: UsedOnSocket) -> None:
        ago = max(0.0, self._clock.monotonic() - used.began)
        began: datetime = self._clock.now() - timedelta(seconds=ago)
        record = heard_record(self._job, self._made, used, self.model, began)
        self._append(replace(record, latency_ms=int(ago * 1e6) / 1000))

    async def write(self, record: CallRecord) -> None:
        """Returns once this record and all before it are on disk."""
        self._append(record)
        while self._unwritten:
            self._all_written.clear()
            await self._all_written.wait()

    def _append(self, record: CallRecord) -> None:
        self._unwritten += 1
        self._log.append(replace(record, replica=self._log.replica, seq=self._log.next_seq()), self._is_written)

    def _is_written(self) -> None:
        self._unwritten -= 1
        if not self._unwritten:
            self._all_written.set()


class _Socket:
    """One of our WebSockets. An ``asyncio.Protocol`` by its methods."""

    def __init__(self, reader: FrameReader, connection: UpstreamConnection) -> None:
        self._reader = reader
        self._connection = connection
        self._transport: asyncio.Transport | None = None
        self._end: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        reader.pings = []

    def begin(self, transport: asyncio.Transport, rest: bytes) -> None:
        self._transport = transport
        if rest:
            self.data_received(rest)

    async def ended(self) -> bool:
        """Waits for its end: whether the upstream has said that the session is over."""
        try:
            return await self._end
        finally:
            if self._transport is not None:
                self._transport.abort()

    def data_received(self, data: bytes) -> None:
        reader, transport = self._reader, self._transport
        reader.feed(data)
        if transport is None or reader.pings is None:
            return
        for payload in reader.pings[:]:
            transport.write(pong_frame(payload))
        reader.pings.clear()
        if reader.close_code is not None and not transport.is_closing():
            transport.write(close_frame(reader.close_code if reader.close_code != 1005 else 1000, is_masked=True))
            transport.close()

    def eof_received(self) -> None:
        """The transport closes by itself."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It was made before."""

    def pause_writing(self) -> None:
        """Only answers to pings are written."""

    def resume_writing(self) -> None:
        """Likewise."""

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if not self._end.done():
            self._end.set_result(self._reader.close_code in (1000, 1005))
        self._connection.connection_lost(error)


class _Agreement(Receiver):
    """Waits for the answer to the handshake."""

    def __init__(self) -> None:
        self.head: asyncio.Future[ResponseHead] = asyncio.get_running_loop().create_future()

    def head_received(self, head: ResponseHead) -> None:
        if not self.head.done():
            self.head.set_result(head)

    def body_received(self, data: bytes) -> None:
        """Of a refusal, whose status says enough."""

    def end_received(self) -> None:
        """Likewise."""

    def connection_broken(self, reason: str) -> None:
        if not self.head.done():
            self.head.set_exception(QuestionFailed(f"the connection broke off: {reason}"))

    def upload_paused(self, paused: bool) -> None:
        """The request has no body."""
