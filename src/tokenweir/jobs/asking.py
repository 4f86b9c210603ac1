"""A question to an upstream: one GET with the gateway's own credential, over the way that its calls take.

The answer goes, as it arrives, to a reader that keeps what it needs, so a file of gigabytes takes no memory.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from .. import __version__
from ..errors import Refusal, TokenweirError
from ..records import Clock, PathFamily
from ..upstream import Receiver, Upstream, UpstreamConnection
from ..wire import ResponseHead

__all__ = ["AnswerReader", "QuestionFailed", "Question", "ask"]

_LONGEST_OBEYED_SECONDS = 3600.0
_PROJECT = re.compile(r"/api/projects/[^/]+(?:/openai/v1|/agents/[^/]+/endpoint/protocols/openai)(?=/)")
# What is asked for is there already, so nobody has to think about it.
_LONGEST_SILENCE_SECONDS = 60.0
_LONGEST_ANSWER_SECONDS = 3600.0


class AnswerReader(Protocol):
    def feed(self, piece: bytes) -> object:
        """Takes the next piece of a body; not of an answer with another status than 200."""
        ...


class QuestionFailed(TokenweirError):
    """It has no answer that helps, for now. The text is for a person."""

    def __init__(self, text: str, *, status: int | None = None, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after
        """Seconds that the upstream asks to wait."""


class Question:
    """Where to ask."""

    def __init__(self, upstream: Upstream, path: str, api_version: str | None) -> None:
        """``path`` and ``api_version`` are those of the call that made the job: they say which family of paths, and
        which version, the upstream knows it by."""
        self.upstream = upstream
        in_project = _PROJECT.match(path)
        self._beginning = in_project[0] if in_project is not None else ""
        self._family: PathFamily = "v1" if path.removeprefix("/api").startswith(("/openai/v1/", "/v1/")) else "openai"
        if in_project is not None:
            self._family = "foundry"
        self._query = b"" if api_version is None else b"api-version=" + api_version.encode("ascii", "ignore")

    def head(self, tail: str, query: str = "", lines: Sequence[bytes] = ()) -> bytes:
        """The request's head, with further header lines."""
        upstream, whole = self.upstream, b"&".join(part for part in (query.encode("ascii"), self._query) if part)
        version = upstream.settings.api_version or upstream.provider.api_version
        target = upstream.provider.request_target(
            upstream.endpoint.base, self._family, tail, None, whole, version, f"{self._beginning}/{tail}"
        )
        lines = [
            b"GET %b HTTP/1.1" % target,
            b"host: " + upstream.endpoint.authority,
            b"user-agent: tokenweir/" + __version__.encode(),
            b"accept: */*",
            b"accept-encoding: identity",
            *lines,
            *(name + b": " + value for name, value in upstream.provider.headers),
        ]
        if upstream.credential.line is not None:
            lines.append(upstream.credential.line)
        return b"\r\n".join(lines) + b"\r\n\r\n"


async def ask(
    question: Question, tail: str, reader: AnswerReader, clock: Clock, *, is_enough: Callable[[], bool]
) -> None:
    """Asks, and returns when the reader has the whole answer, or ``is_enough`` says that it has what it needs.
    Raises ``QuestionFailed``."""
    upstream = question.upstream
    try:
        async with asyncio.timeout(_LONGEST_ANSWER_SECONDS):
            answer = await _asked(question, tail, reader, is_enough)
            if answer.status == 401 and upstream.credential.replace(clock.monotonic()):
                answer = await _asked(question, tail, reader, is_enough)
    except Refusal as refusal:
        raise QuestionFailed(str(refusal)) from refusal
    except TimeoutError as error:
        raise QuestionFailed(f"upstream {upstream.name} does not answer") from error
    if answer.status != 200:
        seconds = answer.fields.get(b"retry-after", b"")
        raise QuestionFailed(
            f"upstream {upstream.name} answers {answer.status}",
            status=answer.status,
            retry_after=min(float(seconds), _LONGEST_OBEYED_SECONDS) if seconds.isdigit() else 0.0,
        )


async def _asked(question: Question, tail: str, reader: AnswerReader, is_enough: Callable[[], bool]) -> ResponseHead:
    upstream = question.upstream
    if not upstream.credential.is_ready:
        await upstream.credential.obtain()
    for connection in (upstream.pool.take(), None):
        fresh = connection or await upstream.pool.connect()
        receiver = _Receiver(fresh, reader, is_enough)
        fresh.begin(receiver, question.head(tail), is_head_request=False)
        try:
            return await receiver.ended(min(_LONGEST_SILENCE_SECONDS, upstream.settings.first_byte_timeout))
        except QuestionFailed:
            if connection is None or receiver.head is not None:
                raise  # only one that had grown old is worth another try
    raise AssertionError("the second connection is a fresh one")


class _Receiver(Receiver):
    """Hands the body on, and tells when the answer has ended."""

    def __init__(self, connection: UpstreamConnection, reader: AnswerReader, is_enough: Callable[[], bool]) -> None:
        self._connection = connection
        self._reader = reader
        self._is_enough = is_enough
        self._heard = asyncio.Event()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.head: ResponseHead | None = None

    async def ended(self, silence: float) -> ResponseHead:
        """Once the answer is whole. Raises ``QuestionFailed``, also where nothing is heard for ``silence`` seconds."""
        try:
            while not self._done.done():
                self._heard.clear()
                async with asyncio.timeout(silence):
                    await self._heard.wait()
        except BaseException:
            self._connection.abandon()
            raise
        self._done.result()
        assert self.head is not None
        return self.head

    def head_received(self, head: ResponseHead) -> None:
        self.head = head
        self._heard.set()

    def body_received(self, data: bytes) -> None:
        self._heard.set()
        if self.head is None or self.head.status != 200 or self._done.done():
            return
        try:
            self._reader.feed(data)
        except ValueError as error:
            self._end(QuestionFailed(str(error)))
        else:
            if not self._is_enough():
                return
            self._end(None)
        self._connection.abandon()

    def end_received(self) -> None:
        self._end(None)

    def connection_broken(self, reason: str) -> None:
        self._end(QuestionFailed(f"the connection broke off: {reason}"))

    def upload_paused(self, paused: bool) -> None:
        """The request has no body."""

    def _end(self, error: QuestionFailed | None) -> None:
        if not self._done.done():
            if error is None:
                self._done.set_result(None)
            else:
                self._done.set_exception(error)
        self._heard.set()
