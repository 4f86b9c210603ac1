from collections.abc import Callable

import pytest

from tokenweir.metering import Reading

Read = Callable[..., Reading]

STREAM = b'data: {"id":"x","model":"m","choices":[],"usage":{"prompt_tokens":1}}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("event_stream", [True, False])
def test_what_is_not_metered_is_only_counted(read: Read, event_stream: bool) -> None:
    reading = read(STREAM[:20], STREAM[20:50], STREAM[50:], api="other", event_stream=event_stream)
    assert (reading.usage, reading.response_id, reading.content) == (None, None, None)
    assert reading.chunks == 3
    assert reading.output.choices() == []


def test_what_is_not_metered_can_still_be_kept(read: Read) -> None:
    assert read(STREAM[:20], STREAM[20:], api="other", keep_content=True).content == STREAM.decode()


@pytest.mark.parametrize("api", ["chat_completions", "completions", "responses"])
def test_what_is_metered_is_read(read: Read, api: str) -> None:
    assert read(STREAM, api=api).usage is not None
