"""A meter that is shown an answer, in one line of a test."""

import random
from collections.abc import Callable, Iterable
from itertools import count

import pytest

from tokenweir.apis import surface_of
from tokenweir.metering import Measurement, meter_for

Read = Callable[..., Measurement]


@pytest.fixture
def read() -> Read:
    """Shows pieces of an answer to a fresh meter and returns its reading."""

    def read(
        *pieces: bytes,
        api: str = "chat_completions",
        event_stream: bool = True,
        content_encoding: str = "",
        keep_content: bool = False,
    ) -> Measurement:
        ticks = count(1)
        meter = meter_for(
            surface_of(api),
            event_stream=event_stream,
            content_encoding=content_encoding,
            keep_content=keep_content,
            monotonic=lambda: float(next(ticks)),
        )
        for piece in pieces:
            meter.feed(piece)
        return meter.finish()

    return read


@pytest.fixture
def cut() -> Callable[[bytes, int], Iterable[bytes]]:
    """Cuts bytes into pieces of chance length, the same for the same seed."""

    def cut(data: bytes, seed: int) -> list[bytes]:
        chance = random.Random(seed)
        ends = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(12)))
        return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]

    return cut
