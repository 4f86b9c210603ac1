"""Watched calls, made up: events at the times that a test names."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from support.streams import DONE, frame
from tokenweir.stopwatch import Began, Capture, Connected, Ended, Head, Moment, Watching
from tokenweir.stopwatch.moments import BodyPiece, Chunk, Ending, Via
from tokenweir.stopwatch.target import StreamApi

__all__ = ["FINISH", "SSE", "a_call", "began", "capture_of", "text_pieces", "well_ended"]

SSE = [("content-type", "text/event-stream")]
FINISH = b'data: {"id":"a","model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'


def began(via: Via = "http", api: StreamApi = "chat") -> Began:
    return Began(
        taken_at=datetime(2026, 1, 1, tzinfo=UTC),
        tokenweir="0.1.0",
        name="here",
        url="http://127.0.0.1:8080/chat",
        via=via,
        api=api,
        deployment="gpt-4o",
    )


def text_pieces(times: Iterable[float]) -> list[tuple[float, bytes]]:
    """A word at each of these times."""
    return [(at, frame(f" word{number}")) for number, at in enumerate(times)]


def a_call(
    pieces: Sequence[tuple[float, bytes]],
    *,
    headers: Sequence[tuple[str, str]] = SSE,
    status: int = 200,
    head_at: float = 0.001,
    connected: Connected | None = None,
    how: Ending = "complete",
    detail: str = "",
    ended_at: float | None = None,
    via: Via = "http",
    api: StreamApi = "chat",
) -> list[Moment]:
    """The moments of a call; through the SDK each piece is one event's data."""
    moments: list[Moment] = [began(via, api)]
    if connected is not None:
        moments.append(connected)
    moments.append(Head(head_at, status, list(headers)))
    for at, data in pieces:
        moments.append(BodyPiece(at, data, len(data)) if via == "http" else Chunk(at, data.decode()))
    last = pieces[-1][0] if pieces else head_at
    return [*moments, Ended(last if ended_at is None else ended_at, how, detail)]


def capture_of(moments: Sequence[Moment]) -> Capture:
    first, *between, last = moments
    assert isinstance(first, Began)
    assert isinstance(last, Ended)
    watching = Watching(first)
    for moment in between:
        watching.add(moment)
    return watching.end(last)


def well_ended(pieces: Sequence[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
    """With what belongs to an end, in the moment of the last piece."""
    at = pieces[-1][0]
    return [*pieces, (at, FINISH), (at, DONE)]
