"""``tokenweir stream`` against a simulator: what it shows, says, saves and ends with."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.captures import a_call, text_pieces, well_ended
from support.scripted import scripted
from support.stream_proxies import buffering, gathering, rewriting
from tokenweir.simulator import HostedSimulator, SimulatorSettings, running_simulator
from tokenweir.stopwatch import CaptureFile

KEY = "tw-0123456789-secret"

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def sim() -> Iterator[HostedSimulator]:
    with running_simulator(SimulatorSettings(key=KEY)) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def simulate(**members: Any) -> tuple[str, str]:
    return "--header", f"x-simulate: {json.dumps(members)}"


def test_a_call_is_shown_as_it_comes_with_a_summary(tokenweir: Run, sim: HostedSimulator) -> None:
    ran = tokenweir("stream", "Hello", "--endpoint", sim.url, *simulate(output_tokens=30, chunk_delay="5ms"))
    assert ran.exit_code == 0
    assert re.search(r"^POST http://127.0.0.1:\d+/openai/deployments/gpt-4o/chat/completions\?api-version=", ran.out)
    assert "with the key from AZURE_OPENAI_API_KEY" in ran.out
    assert re.search(r"x-ms-region +Sweden Central", ran.out)
    assert len(re.findall(r"^ +\d+\.\d +\d+\.\d +\d+  text ", ran.out, re.M)) == 10
    assert re.search(r"^usage +8 in, 30 out, 38 tokens in all$", ran.out, re.M)
    assert "✓ Nothing odd" in ran.out
    assert KEY not in ran.out + ran.err


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/octet-stream", "text/html"])
def test_events_are_shown_whatever_their_type_is_called(tokenweir: Run, sim: HostedSimulator, kind: str) -> None:
    with scripted(rewriting(sim.url, lambda line: line, f"content-type: {kind}")) as proxy:
        ran = tokenweir("stream", "Hello", "--endpoint", proxy.url, *simulate(output_tokens=30, chunk_delay="5ms"))
    assert ran.exit_code == 0
    assert len(re.findall(r"^ +\d+\.\d +\d+\.\d +\d+  text ", ran.out, re.M)) == 10
    assert re.search(r"^usage +8 in, 30 out, 38 tokens in all$", ran.out, re.M)
    assert f"the events came with content-type {kind}" in ran.out


def test_a_stream_that_stalls_is_held_up(tokenweir: Run, tmp_path: Path) -> None:
    times = [0.02 * number for number in range(1, 20)]
    with CaptureFile(tmp_path / "stalled.jsonl") as kept:
        kept.add(a_call(well_ended(text_pieces([*times, *(2 + at for at in times)]))))
    ran = tokenweir("stream", "--replay", tmp_path / "stalled.jsonl", "--speed", "1000")
    assert ran.exit_code == 1
    assert re.search(r"^✗ a silence of 1\.\d+ s after piece 19 of 38", ran.out, re.M)


def test_all_headers_are_shown_where_they_are_wanted_and_secrets_are_not(
    tokenweir: Run, sim: HostedSimulator, tmp_path: Path
) -> None:
    lines = ("x-own: yes", "set-cookie: a=sk-secret", f"x-echo: {KEY}", "content-type: text/event-stream")
    with scripted(rewriting(sim.url, lambda line: line, *lines)) as proxy:
        saved = tmp_path / "saved.jsonl"
        ran = tokenweir("stream", "Hello", "--endpoint", proxy.url, "--headers", "--save", saved)
        usual = tokenweir("stream", "Hello", "--endpoint", proxy.url)
    assert re.search(r"^ +x-own +yes$", ran.out, re.M)
    assert re.search(r"^ +set-cookie +\(not shown\)$", ran.out, re.M)
    assert re.search(r"^ +x-echo +\*+$", ran.out, re.M)
    assert "other headers" not in ran.out
    assert "x-own" not in usual.out and "--headers shows them" in usual.out
    assert "x-own" not in saved.read_text() and "sk-secret" not in saved.read_text() + ran.out


def test_json_holds_the_whole_answer_and_its_events_where_they_are_wanted(tokenweir: Run, sim: HostedSimulator) -> None:
    ran = tokenweir("stream", "Hello", "--endpoint", sim.url, "--json", "--text", "--raw", *simulate(output_tokens=30))
    told = [json.loads(line) for line in ran.out.splitlines()]
    events = [line for line in told if line["type"] == "event"]
    assert events[-1]["raw"] == "data: [DONE]\n\n"
    assert told[-1]["text"] == "".join(event["text"] for event in events if event["kind"] == "text") != ""


@pytest.mark.parametrize("states_length", [True, False])
def test_a_proxy_that_buffers_is_detected(tokenweir: Run, sim: HostedSimulator, states_length: bool) -> None:
    with scripted(buffering(sim.url, states_length=states_length)) as proxy:
        ran = tokenweir("stream", "Hello", "--endpoint", proxy.url, *simulate(output_tokens=60, chunk_delay="15ms"))
    assert ran.exit_code == 1
    assert re.search(r"^✗ all 20 pieces of output came in one read, after \d+ ms in which none came", ran.out, re.M)
    assert "proxy_buffering off" in ran.out


def test_a_proxy_that_gathers_is_detected_with_the_size_of_its_buffer(tokenweir: Run, sim: HostedSimulator) -> None:
    with scripted(gathering(sim.url, 4096)) as proxy:
        ran = tokenweir("stream", "Hello", "--endpoint", proxy.url, *simulate(output_tokens=150, chunk_delay="8ms"))
    assert ran.exit_code == 1
    assert re.search(r"^✗ .*\d reads gave exactly 4,096 bytes and ended inside an event$", ran.out, re.M)


@pytest.mark.parametrize(
    ("rewrite", "lines", "said"),
    [
        (lambda line: line.replace(b"data: ", b"data: data: "), (), "events cannot be read"),
        (lambda line: line.replace(b"data: ", b""), (), "not server-sent events"),
        (lambda line: b"" if b"[DONE]" in line else line, (), "[DONE] is missing"),
        (lambda line: line, ("content-type: text/plain",), "the events came with content-type text/plain"),
        (lambda line: line.replace(b"\n", b"\r\n"), (), "lines end with CR LF"),
    ],
)
def test_a_proxy_that_breaks_events_is_named_by_what_it_does(
    tokenweir: Run, sim: HostedSimulator, rewrite: Callable[[bytes], bytes], lines: tuple[str, ...], said: str
) -> None:
    with scripted(rewriting(sim.url, rewrite, *lines)) as proxy:
        ran = tokenweir("stream", "Hello", "--endpoint", proxy.url, *simulate(output_tokens=30))
    assert said in ran.out


def test_a_wrong_key_and_a_wrong_path_are_explained(tokenweir: Run, sim: HostedSimulator) -> None:
    wrong = tokenweir("stream", "Hello", "--endpoint", sim.url, "--key", "wrong-0123456789")
    assert wrong.exit_code == 1
    assert "✗ the answer is 401: " in wrong.out
    assert "wrong-0123456789" not in wrong.out + wrong.err
    lost = tokenweir("stream", "Hello", "--endpoint", f"{sim.url}/elsewhere")
    assert "✗ the answer is 404: " in lost.out


def test_nothing_is_called_where_the_command_line_makes_no_sense(tokenweir: Run) -> None:
    for arguments in (
        [],
        ["Hello", "--replay", "x"],
        ["Hello", "--compare", "a", "b", "--profile", "c"],
        ["Hello", "--endpoint", "http://x", "--profile", "c"],
        ["Hello", "--header", "no colon"],
        ["Hello", "--body", "[1]"],
        ["Hello", "--timeout", "soon"],
        ["Hello", "--repeat", "2", "--text"],
        ["--replay", "x", "--headers"],
        ["Hello", "--profile", "unknown"],
    ):
        ran = tokenweir("stream", *arguments)
        assert ran.exit_code == 2, arguments
        assert "Traceback" not in ran.err


def test_json_is_a_line_for_each_thing_that_happened(tokenweir: Run, sim: HostedSimulator) -> None:
    ran = tokenweir("stream", "Hello", "--endpoint", sim.url, "--json", *simulate(output_tokens=9, chunk_delay="5ms"))
    lines = [json.loads(line) for line in ran.out.splitlines()]
    events = [line for line in lines if line["type"] == "event"]

    assert [line["type"] for line in lines] == ["began", "connected", "head", *["event"] * 8, "call"]
    assert [event["kind"] for event in events] == ["filter", "role", "text", "text", "text", "finish", "usage", "done"]
    assert events[0]["gap_ms"] is None
    assert lines[-1]["outputs"] == 3
    assert lines[-1]["usage"]["output_tokens"] == 9
    assert lines[-1]["first_token_ms"] == events[2]["at_ms"]
    assert lines[-1]["findings"] == []


def test_two_endpoints_are_compared_call_by_call(tokenweir: Run, sim: HostedSimulator, here: Path) -> None:
    with scripted(buffering(sim.url, states_length=False)) as proxy:
        (here / "tokenweir.toml").write_text(
            f'[[profiles]]\nname = "direct"\nendpoint = "{sim.url}"\n'
            f'[[profiles]]\nname = "gateway"\nendpoint = "{proxy.url}"\n'
        )
        told = ("--compare", "direct", "gateway", "--repeat", "5", *simulate(output_tokens=30, chunk_delay="15ms"))
        ran = tokenweir("stream", "Hello", *told)
        as_json = tokenweir("stream", "Hello", "--json", *told)
    assert ran.exit_code == as_json.exit_code == 1
    assert re.search(r"^ +direct +gateway +difference", ran.out, re.M)
    assert re.search(r"^calls +5, all well +5, 5 bad", ran.out, re.M)
    assert re.search(r"^first token .*\+\d+ ms", ran.out, re.M)
    assert "✗ gateway, 5 of 5 calls: all 10 pieces" in ran.out
    *calls, summary = [json.loads(line) for line in as_json.out.splitlines()]
    assert [call["column"] for call in calls] == [
        *["direct", "gateway"], *["gateway", "direct"], *["direct", "gateway"], *["gateway", "direct"],
        *["direct", "gateway"],
    ]  # fmt: skip
    assert summary["columns"]["gateway"]["bad"] == 5
    assert summary["difference"]["first_token_ms"]["is_clear"] is True


def test_both_ways_and_many_at_a_time(tokenweir: Run, sim: HostedSimulator) -> None:
    told = ("--via", "both", "--repeat", "4", "--concurrency", "3", *simulate(output_tokens=12))
    ran = tokenweir("stream", "Hello", "--endpoint", sim.url, *told)
    assert ran.exit_code == 0
    assert re.search(r"^calls +4, all well +4, all well", ran.out, re.M)
    assert "Nothing odd in any of them" in ran.out


def test_what_was_saved_is_shown_again_without_a_call(tokenweir: Run, here: Path) -> None:
    with running_simulator(SimulatorSettings(key=KEY)) as sim:
        saving = ("--endpoint", sim.url, "--save", "call.jsonl", *simulate(output_tokens=30, chunk_delay="5ms"))
        first = tokenweir("stream", "A secret question", *saving)
        twice = tokenweir("stream", "Hello", "--repeat", "2", *saving[:3], "two.jsonl", *saving[4:])
    again = tokenweir("stream", "--replay", "call.jsonl", "--speed", "1000")
    both = tokenweir("stream", "--replay", "two.jsonl")

    assert first.exit_code == again.exit_code == twice.exit_code == both.exit_code == 0
    shown = (here / "call.jsonl").read_text()
    assert KEY not in shown
    assert "secret question" not in shown
    assert first.out.splitlines()[3:] == again.out.splitlines()[3:]
    assert twice.out.splitlines()[0] == both.out.splitlines()[0] == "2, all well"


def test_the_sdk_is_named_where_it_is_missing(
    tokenweir: Run, sim: HostedSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "openai", None)
    ran = tokenweir("stream", "Hello", "--endpoint", sim.url, "--via", "sdk")
    assert ran.exit_code == 2
    assert "pip install 'tokenweir[sdk]'" in ran.err
