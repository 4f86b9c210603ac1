"""When a target says that it can be asked again, in all the ways that are met, and in those that make no sense."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from tokenweir.deployments.retry_after import seconds_to_wait

NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (b"\r\nRetry-After: 7", 7.0),
        (b"\r\nretry-after-ms: 350\r\nretry-after: 1", 0.35),
        (b"\r\nretry-after: 1\r\nx-ms-retry-after-ms: 20", 0.02),
        (b"\r\nretry-after: Mon, 30 Nov 2026 12:00:30 GMT", 30.0),
        (b"\r\nretry-after: Monday, 30-Nov-26 12:00:30 GMT", 30.0),
        (b"\r\nretry-after: Mon Nov 30 12:00:30 2026", 30.0),
        (b"\r\nx-ratelimit-reset-requests: 12", 12.0),
        (b"\r\nx-ratelimit-reset-tokens: 6m0s", 360.0),
        (b"\r\nx-ratelimit-reset-tokens: 1h2m3.5s", 3723.5),
        (b"\r\nx-ratelimit-reset-requests: 20ms", 0.02),
        (b"\r\nretry-after: 31536000", 31_536_000.0),
        (b"\r\nretry-after: Tue, 30 Nov 2027 12:00:00 GMT", 31_536_000.0),
    ],
)
def test_what_is_told_is_understood(lines: bytes, seconds: float) -> None:
    assert seconds_to_wait(lines, NOW) == pytest.approx(seconds)


def test_a_date_is_held_against_the_answers_own_clock() -> None:
    lines = b"\r\ndate: Thu, 01 Jan 2099 00:00:00 GMT\r\nretry-after: Thu, 01 Jan 2099 00:00:09 GMT"
    assert seconds_to_wait(lines, NOW) == 9.0


@pytest.mark.parametrize(
    "value",
    [b"", b"0", b"-5", b"soon", b"1e9", b"Mon, 30 Nov 2026 11:59:00 GMT", b"\xff", b"9" * 16, b"Mon, 99 Nov 2026"],
)
def test_what_is_past_or_makes_no_sense_tells_nothing(value: bytes) -> None:
    assert seconds_to_wait(b"\r\nretry-after: " + value, NOW) is None
    lines = b"\r\nretry-after: " + value + b"\r\nx-ratelimit-reset-tokens: 3"
    assert seconds_to_wait(lines, NOW) == 3.0
    assert seconds_to_wait(lines, NOW, resets=False) is None


@given(st.binary(max_size=60), st.sampled_from([b"retry-after", b"retry-after-ms", b"x-ratelimit-reset-tokens"]))
def test_nothing_that_comes_can_harm(value: bytes, name: bytes) -> None:
    seconds = seconds_to_wait(b"\r\n" + name + b": " + value + b"\r\nserver: x", NOW)
    assert seconds is None or seconds > 0.0
