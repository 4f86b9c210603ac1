from collections.abc import Callable

import pytest

from tokenweir.metering import Measurement
from tokenweir.metering.meter import NullMeter

Read = Callable[..., Measurement]

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


@pytest.mark.parametrize(
    ("body", "job", "session"),
    [
        (b'{"id":"batch_1","object":"batch","status":"validating"}', "batch_1", None),
        (b'{"object":"fine_tuning.job","id":"ftjob-1"}', "ftjob-1", None),
        (b'{"id":"video_1","object":"video","status":"queued"}', "video_1", None),
        (b'{"id":"task_1","object":"video.generation.job"}', "task_1", None),
        (b'{"id":"sess_1","object":"realtime.session","client_secret":{"value":"ek-1"}}', None, "sess_1"),
        (b'{"id":"file-1","object":"file"}', None, None),
        (b'{"id":7,"object":"batch"}', None, None),
        (b"[]", None, None),
        (b"RIFF", None, None),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_job_or_a_session_that_a_call_has_made_is_named(
    body: bytes, job: str | None, session: str | None, size: int
) -> None:
    meter = NullMeter(keep_content=False, reads_usage=True)
    for at in range(0, len(body), size):
        meter.feed(body[at : at + size])
    reading = meter.finish()
    assert (reading.job_id, reading.session_id) == (job, session)
