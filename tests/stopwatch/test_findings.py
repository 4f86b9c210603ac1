"""From what was seen to what is said: each trouble is named, and a stream without trouble is left alone."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from support.captures import FINISH, SSE, a_call, capture_of, text_pieces, well_ended
from support.streams import DONE, frame
from tokenweir.stopwatch import Connected, Finding, findings_of, measure
from tokenweir.stopwatch.findings.buffering import came_at_once, came_in_batches

EVENLY = [0.05 + 0.025 * number for number in range(40)]


def found(pieces: list[tuple[float, bytes]], **options: Any) -> list[Finding]:
    capture = capture_of(a_call(pieces, **options))
    return findings_of(capture, measure(capture))


def codes(pieces: list[tuple[float, bytes]], **options: Any) -> list[str]:
    return [finding.code for finding in found(pieces, **options)]


def test_a_stream_that_is_as_it_should_be_is_left_alone() -> None:
    assert found(well_ended(text_pieces(EVENLY))) == []


# held up


def test_everything_at_once_after_a_long_wait_was_held_back() -> None:
    [finding] = found(well_ended(text_pieces(1.0 + 0.0001 * number for number in range(40))))
    assert (finding.code, finding.weight) == ("buffered", "bad")
    assert "within 3.9 ms, after 1.00 s" in finding.seen
    assert "cache" in finding.means


def test_a_content_length_takes_the_doubt_away() -> None:
    headers = [*SSE, ("content-length", "9000")]
    [finding] = found(well_ended(text_pieces([1.0] * 40)), headers=headers)
    assert finding.code == "buffered"
    assert "in one read" in finding.seen
    assert "cache" not in finding.means


@given(st.lists(st.floats(0.004, 0.2), min_size=8, max_size=60), st.floats(0, 5))
def test_a_pace_that_models_have_is_never_called_held_back(gaps: list[float], wait: float) -> None:
    times = [wait]
    for gap in gaps:
        times.append(times[-1] + gap)
    assert not came_at_once(times)
    assert not came_in_batches(times)


@given(st.integers(8, 300), st.floats(0.1, 30))
def test_a_long_wait_and_one_read_is_always_called_held_back(count: int, wait: float) -> None:
    assert came_at_once([wait] * count)


def test_a_fast_and_short_answer_is_not_enough_to_tell() -> None:
    assert codes(well_ended(text_pieces([0.02 + 0.0001 * number for number in range(40)]))) == []
    assert codes(well_ended(text_pieces([1.0] * 7))) == ["slow_first_token"]


def test_batches_are_told_with_their_size_and_distance() -> None:
    times = [0.2 * batch + 0.0001 * number for batch in range(1, 6) for number in range(8)]
    [finding] = found(well_ended(text_pieces(times)))
    assert (finding.code, finding.weight) == ("batches", "odd")
    assert finding.seen.startswith("40 pieces of output came in 5 batches of about 8, 199 ms apart")
    assert "content filter" in finding.means


def test_reads_of_one_round_size_give_the_buffer_away() -> None:
    whole = b"".join(data for _, data in text_pieces(range(60))) + FINISH + DONE
    blocks = [whole[start : start + 1024] for start in range(0, len(whole), 1024)]
    [finding] = found([(0.3 * number, block) for number, block in enumerate(blocks, 1)])
    assert "exactly 1,024 bytes" in finding.seen
    assert finding.means == "something on the way passes the stream on whenever 1,024 bytes have gathered"


def in_blocks(whole: bytes, size: int, gap: float) -> list[tuple[float, bytes]]:
    return [(1 + gap * number, whole[start : start + size]) for number, start in enumerate(range(0, len(whole), size))]


LARGE = frame("A" * 1_500_000)
MANY = b"".join(data for _, data in text_pieces(range(900)))
TLS = Connected("10.0.0.1", 0.001, 0.001, 0.001)


@pytest.mark.parametrize("size", [1024, 4096, 8192, 16384, 32768, 65536])
@pytest.mark.parametrize("gap", [0.0001, 0.004])
def test_what_a_large_event_is_cut_into_is_no_sign_of_a_buffer(size: int, gap: float) -> None:
    small = [(0.05 * number, frame(f" word{number}")) for number in range(1, 21)]
    large = in_blocks(LARGE + FINISH + DONE, size, gap)
    assert not {"buffer_size", "batches"} & set(codes([*small, *large]))


@pytest.mark.parametrize(("size", "connected"), [(65536, None), (65536, TLS), (16384, TLS)])
def test_the_size_of_our_own_reads_and_of_tls_records_is_no_sign_of_a_buffer(
    size: int, connected: Connected | None
) -> None:
    pieces = in_blocks(MANY * 4 + FINISH + DONE, size, 0.03)
    assert not [finding for finding in found(pieces, connected=connected) if "exactly" in finding.seen]


def test_what_was_there_already_has_not_been_gathered() -> None:
    assert not [finding for finding in found(in_blocks(MANY + DONE, 4096, 0.0001)) if "exactly" in finding.seen]


@pytest.mark.parametrize("size", [1024, 4096, 8192, 16384])
def test_who_passes_on_a_full_buffer_holds_the_stream_up(size: int) -> None:
    weights = {finding.code: finding.weight for finding in found(in_blocks(MANY + FINISH + DONE, size, 0.1))}
    assert "bad" in (weights.get("batches"), weights.get("buffer_size"))


# silences


def test_a_silence_after_which_all_comes_at_once_was_on_the_way() -> None:
    times = [*EVENLY[:20], *[EVENLY[19] + 1.0] * 38, EVENLY[19] + 1.1]
    [finding] = found(well_ended(text_pieces(times)))
    assert (finding.code, finding.weight) == ("stall", "bad")
    assert finding.seen == "a silence of 1.00 s after piece 20 of 59; 25.0 ms is usual here"
    assert "held up on the way" in finding.means


def test_a_silence_after_which_the_pace_is_as_before_was_the_writers() -> None:
    times = [*EVENLY[:20], *(at + 2.0 for at in EVENLY[20:])]
    [finding] = found(well_ended(text_pieces(times)))
    assert (finding.code, finding.weight) == ("stall", "bad")
    assert "had paused" in finding.means


# the first token, the connection


@pytest.mark.parametrize(
    ("connect", "claim"), [(0.002, "the network is not what was slow"), (0.6, "may be the network")]
)
def test_a_slow_first_token_is_measured_against_the_connection(connect: float, claim: str) -> None:
    connected = Connected("10.0.0.1", 0.001, connect)
    slow = next(
        finding
        for finding in found(well_ended(text_pieces(at + 2 for at in EVENLY)), connected=connected)
        if finding.code == "slow_first_token"
    )
    assert claim in slow.means


def test_the_endpoints_own_count_is_quoted() -> None:
    headers = [*SSE, ("openai-processing-ms", "1900")]
    [finding] = found(well_ended(text_pieces(at + 2 for at in EVENLY)), headers=headers)
    assert "openai-processing-ms says 1900 ms" in finding.seen


def test_a_slow_connection_is_named_by_its_slowest_step() -> None:
    connected = Connected("10.0.0.1", 0.9, 0.01, 0.02)
    [finding] = found(well_ended(text_pieces(EVENLY)), connected=connected)
    assert finding.seen.startswith("looking up the name took 900 ms")


# the format


@pytest.mark.parametrize(
    ("pieces", "headers", "code"),
    [
        (well_ended(text_pieces(EVENLY)), [("content-type", "text/plain")], "content_type"),
        (well_ended(text_pieces(EVENLY)), [*SSE, ("content-length", "1")], "content_length"),
        (well_ended(text_pieces(EVENLY)), [*SSE, ("content-encoding", "gzip")], "compressed"),
        ([(0.1, b"<!DOCTYPE html><title>Sign in</title>")], [("content-type", "text/html")], "html"),
        ([(0.1, b'{"choices": []}')], [("content-type", "application/json")], "not_a_stream"),
        ([(0.1, b"\xef\xbb\xbf"), *well_ended(text_pieces(EVENLY))], SSE, "bom"),
        ([(0.1, b"data: {oops\n\n"), *well_ended(text_pieces(EVENLY))], SSE, "broken_events"),
        ([(at, data.replace(b"\n", b"\r\n")) for at, data in well_ended(text_pieces(EVENLY))], SSE, "crlf"),
        ([(0.1, FINISH + DONE)], SSE, "no_output"),
        ([], SSE, "empty"),
        ([(0.1, frame("x")), (0.2, b'data: {"error":{"message":"overloaded"}}\n\n')], SSE, "error_frame"),
        ([*text_pieces(EVENLY), (1.1, FINISH)], SSE, "no_done"),
        (text_pieces(EVENLY), SSE, "no_end"),
        ([*text_pieces(EVENLY), (1.1, b"data: {")], SSE, "cut"),
    ],
)
def test_each_fault_is_the_only_thing_said(
    pieces: list[tuple[float, bytes]], headers: list[tuple[str, str]], code: str
) -> None:
    assert codes(pieces, headers=headers) == [code]


def test_the_end_of_the_responses_api_is_not_done() -> None:
    completed = b'event: response.completed\ndata: {"type":"response.completed","response":{}}\n\n'
    told = b'event: x\ndata: {"type":"response.output_text.delta","delta":"x"}\n\n'
    assert codes([(0.1, told), (0.2, completed)], api="responses") == []


def test_the_sdk_shows_no_done_and_nobody_asks_it_for_one() -> None:
    pieces = [(at, data.removeprefix(b"data: ").strip()) for at, data in [*text_pieces(EVENLY), (1.1, FINISH)]]
    assert codes(pieces, via="sdk") == []


@pytest.mark.parametrize(
    ("how", "code"),
    [("reset", "broken_off"), ("closed", "broken_off"), ("timed_out", "timed_out"), ("not_http", "not_http")],
)
def test_how_it_ended_is_what_matters_most(how: str, code: str) -> None:
    assert codes(text_pieces(EVENLY), how=how)[0] == code


def test_nothing_is_held_against_a_call_that_was_left() -> None:
    assert codes(text_pieces(EVENLY), how="interrupted") == []


# refusals


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 429, 500, 503])
def test_a_refusal_is_quoted_and_explained(status: int) -> None:
    [finding] = found([(0.1, b'{"error": {"message": "not like\\n this", "code": "x"}}')], status=status)
    assert finding.code == "refused"
    assert finding.seen == f"the answer is {status}: not like this"
    assert finding.fix


def test_a_refusal_of_api_management_is_quoted_too() -> None:
    [finding] = found([(0.1, b'{ "statusCode": 401, "message": "Access denied" }')], status=401)
    assert finding.seen == "the answer is 401: Access denied"
    assert "Ocp-Apim-Subscription-Key" in (finding.fix or "")


def test_a_redirect_says_where_to() -> None:
    [finding] = found([], status=302, headers=[("location", "https://login.example/in")])
    assert "https://login.example/in" in finding.seen
