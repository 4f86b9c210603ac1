"""Both ways to watch, against the simulator and against endpoints that go wrong."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from stopwatch.conftest import KEY, Watch, watching
from support.scripted import Line, scripted
from support.servers import closed_port, tls_pair
from support.streams import DONE, STREAM_HEAD, answer, chunked, frame
from tokenweir.simulator import HostedSimulator
from tokenweir.stopwatch import findings_of, measure

HTTP = watching("http")


def script(**members: Any) -> tuple[tuple[str, str], ...]:
    return (("x-simulate", json.dumps(members)),)


def test_a_whole_stream_is_seen_with_its_headers_and_usage(sim: HostedSimulator, watch: Watch) -> None:
    capture = watch(sim.url, headers=script(output_tokens=30))
    measures = measure(capture)

    assert capture.head is not None
    assert (capture.head.status, capture.head.header("x-ms-region")) == (200, "Sweden Central")
    assert capture.ended.how == "complete"
    assert (measures.outputs, measures.finish, measures.model) == (10, "stop", "gpt-4o-2024-11-20")
    assert measures.usage is not None
    assert measures.usage.output_tokens == 30
    assert findings_of(capture, measures) == []
    assert all(a.at <= b.at for a, b in zip(capture.events, capture.events[1:], strict=False))


@pytest.mark.parametrize("members", [{"api": "completions"}, {"deployment": "gpt-35"}])
def test_other_apis_and_models(sim: HostedSimulator, watch: Watch, members: dict[str, Any]) -> None:
    capture = watch(sim.url, headers=script(output_tokens=30), **members)
    assert (capture.ended.how, measure(capture).characters > 50) == ("complete", True)


def test_the_v1_path_and_its_key(sim: HostedSimulator, watch: Watch) -> None:
    capture = watch(f"{sim.url}/v1", headers=script(output_tokens=5))
    assert measure(capture).finish == "stop"


def test_the_key_and_other_headers_arrive_in_both_ways(via: str, watch: Watch) -> None:
    heads: list[bytes] = []

    def play(line: Line) -> None:
        heads.append(line.read_request()[0])
        line.send(STREAM_HEAD + chunked(frame("x"), DONE) + b"0\r\n\r\n")

    with scripted(play) as upstream:
        watch(upstream.url, headers=(("x-user-id", "alex"),))
        watch(upstream.url, key_header="Ocp-Apim-Subscription-Key")
        watch(f"{upstream.url}/v1")
    assert f"api-key: {KEY}".encode() in heads[0]
    assert b"x-user-id: alex" in heads[0]
    assert f"ocp-apim-subscription-key: {KEY}".encode() in heads[1]
    assert f"authorization: bearer {KEY}".encode() in heads[2]


def test_a_refusal_is_seen_with_its_words(sim: HostedSimulator, watch: Watch) -> None:
    capture = watch(sim.url, headers=script(status=429, retry_after=7))
    [finding] = findings_of(capture, measure(capture))
    assert capture.head is not None
    assert capture.head.header("retry-after") == "7"
    assert finding.seen.startswith("the answer is 429: ")


def test_a_stream_that_breaks_off_is_told_with_what_had_come(sim: HostedSimulator, watch: Watch) -> None:
    capture = watch(sim.url, headers=script(output_tokens=60, reset_after=5))
    assert measure(capture).outputs == 5
    assert findings_of(capture, measure(capture))[0].code == "broken_off"


def test_an_error_inside_a_stream_is_told(sim: HostedSimulator, watch: Watch) -> None:
    capture = watch(sim.url, headers=script(output_tokens=60, error_frame_after=5))
    finding = findings_of(capture, measure(capture))[0]
    assert finding.code == "error_frame"
    assert "The server had an error" in finding.seen


def test_silence_ends_with_the_timeout(sim: HostedSimulator, watch: Watch) -> None:
    capture = watch(sim.url, headers=script(output_tokens=60, hang_after=5), timeout=0.2)
    finding = findings_of(capture, measure(capture))[0]
    assert finding.code == "timed_out"
    assert finding.seen == "nothing came for 0.2 s, in the middle, after 5 pieces of output"


def test_where_nobody_listens_that_is_said(watch: Watch) -> None:
    capture = watch(f"http://127.0.0.1:{closed_port()}")
    [finding] = findings_of(capture, measure(capture))
    assert finding.code == "unreachable"
    assert "refused" in finding.seen


def test_an_endpoint_that_repeats_the_key_shows_stars(watch: Watch) -> None:
    def play(line: Line) -> None:
        line.read_request()
        half = len(KEY) // 2
        text = f'data: {{"choices":[{{"index":0,"delta":{{"content":"{KEY}"}}}}]}}\n\n'.encode()
        cut = text.index(KEY.encode()) + half
        line.send(STREAM_HEAD.replace(b"\r\n\r\n", f"\r\nx-request-id: {KEY}\r\nset-cookie: a={KEY}\r\n\r\n".encode()))
        line.send(chunked(text[:cut]))
        line.send(chunked(text[cut:], DONE) + b"0\r\n\r\n")

    with scripted(play) as upstream:
        capture = watch(upstream.url)
    assert KEY not in repr(capture)
    assert "*" * len(KEY) in repr(capture)


# what only raw HTTP shows


def test_reads_are_told_as_they_come_and_events_when_they_are_whole() -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD)
        line.send(chunked(frame("one")[:20]))
        line.send(chunked(frame("one")[20:], frame("two"), DONE) + b"0\r\n\r\n")

    with scripted(play) as upstream:
        capture = HTTP(upstream.url)
    assert [event.frame.text for event in capture.events] == ["one", "two", "[DONE]"]
    assert capture.body == frame("one") + frame("two") + DONE
    assert all(event.at in [piece.at for piece in capture.pieces] for event in capture.events)


def test_a_compressed_stream_is_read_and_named(sim: HostedSimulator) -> None:
    capture = HTTP(sim.url, headers=script(output_tokens=30, gzip=True))
    assert measure(capture).finish == "stop"
    assert [finding.code for finding in findings_of(capture, measure(capture))] == ["compressed"]
    assert measure(capture).bytes < len(capture.body)


@pytest.mark.parametrize("members", [{"split": 1}, {"split": 700}, {"comments": True}])
def test_what_is_allowed_is_not_held_against_a_stream(sim: HostedSimulator, members: dict[str, Any]) -> None:
    capture = HTTP(sim.url, headers=script(output_tokens=12, **members))
    assert (measure(capture).finish, findings_of(capture, measure(capture))) == ("stop", [])


def test_the_ways_to_end_an_answer_without_a_length() -> None:
    def until_closed(line: Line) -> None:
        line.read_request()
        line.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + frame("x") + DONE)

    def early_hints(line: Line) -> None:
        line.read_request()
        line.send(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"{}", status="404 Not Found"))

    with scripted(until_closed) as upstream:
        assert HTTP(upstream.url).ended.how == "complete"
    with scripted(early_hints) as upstream:
        capture = HTTP(upstream.url)
        assert capture.head is not None
        assert (capture.head.status, capture.ended.how) == (404, "complete")


def test_what_came_before_a_broken_chunk_is_seen() -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("one")) + b"no size\r\n")

    with scripted(play) as upstream:
        capture = HTTP(upstream.url)
    assert [event.frame.text for event in capture.events] == ["one"]
    assert capture.ended.how == "closed"


@pytest.mark.parametrize(("said", "how"), [(b"", "closed"), (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not_http")])
def test_what_is_no_answer_is_told_apart(said: bytes, how: str) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(said)

    with scripted(play) as upstream:
        assert HTTP(upstream.url).ended.how == how


def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    context, _ = tls_pair("127.0.0.1")
    with pytest.raises(ssl.SSLError, match="unknown ca"), scripted(lambda line: None, context) as upstream:
        capture = HTTP(upstream.url)
    assert capture.ended.how == "unreachable"
    assert "certificate" in capture.ended.detail


def test_tls_has_its_own_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("x"), DONE) + b"0\r\n\r\n")

    context, authority = tls_pair("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with scripted(play, context) as upstream:
        capture = HTTP(upstream.url)
    assert capture.ended.how == "complete"
    assert capture.connected is not None
    assert capture.connected.tls is not None
