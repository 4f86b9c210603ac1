"""Recorded calls, as OpenAI and Azure really answered them: usage to the token, estimates to a known share.

The recordings lie outside the repository (see the ``shared`` fixture). Those whose length does not fit
were perhaps edited by hand and are left out.
"""

import collections
import json
import random
import re
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tokenweir.metering import Measurement, estimate, read_usage

Read = Callable[..., Measurement]

APIS = {
    "chat/completions": "chat_completions",
    "completions": "completions",
    "embeddings": "embeddings",
    "responses": "responses",
}

NAMES = dict.fromkeys(APIS.values(), ("prompt_tokens", "completion_tokens"))
NAMES["responses"] = ("input_tokens", "output_tokens")


class Recording:
    """One recorded call and what the index says of it."""

    def __init__(self, folder: Path, row: dict[str, Any]) -> None:
        self._file = folder / row["file"]
        self.name: str = row["file"]
        self.api = APIS[row["endpoint"]]
        self.is_stream: bool = row["streaming"]
        self.is_azure: bool = row["api"] == "azure"
        self.is_openai_model: bool = row["openai_model"]
        self.model: str = row["model"]
        self.status: int = row["status"]
        self.usage: dict[str, Any] | None = row["usage"]
        self.notes: str = row["notes"]

    @cached_property
    def _call(self) -> dict[str, Any]:
        call: dict[str, Any] = json.loads(self._file.read_text())
        return call

    @property
    def request_body(self) -> bytes:
        return (self._call["request"]["body"] or "").encode()

    @property
    def request(self) -> dict[str, Any]:
        request: dict[str, Any] = json.loads(self.request_body)
        return request

    @property
    def answer(self) -> bytes:
        body: str = self._call["response"]["body"]
        return body.encode()

    def noted(self, key: str) -> int:
        """A number that the index has in its notes as ``key=number``; 0 if it has none."""
        found = re.search(rf"(?:^|\W){re.escape(key)}=(\d+)", self.notes)
        return int(found[1]) if found else 0

    def pieces(self) -> Iterator[bytes]:
        """The answer in pieces of chance length, the same in every run."""
        chance, at, answer = random.Random(self.name), 0, self.answer
        longest = chance.choice([7, 300, 5_000])
        while at < len(answer):
            length = chance.randint(1, longest)
            yield answer[at : at + length]
            at += length


@pytest.fixture(scope="module")
def recordings(shared: Path) -> list[Recording]:
    folder = shared / "recorded"
    rows = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    return [
        Recording(folder, row) for row in rows if row["endpoint"] in APIS and "maybe edited by hand" not in row["notes"]
    ]


@pytest.fixture
def reading_of(read: Read) -> Callable[[Recording], Measurement]:
    def reading_of(recording: Recording) -> Measurement:
        return read(*recording.pieces(), api=recording.api, event_stream=recording.is_stream)

    return reading_of


def test_recorded_usage_is_read_to_the_token(
    recordings: list[Recording], reading_of: Callable[[Recording], Measurement]
) -> None:
    checked = collections.Counter[tuple[str, bool]]()
    for recording in recordings:
        reading = reading_of(recording)
        if recording.usage is None or not recording.usage["total_tokens"]:  # one of them has zeros beside its text
            assert reading.usage is None, recording.name
            continue
        checked[recording.api, recording.is_stream] += 1
        assert reading.usage == read_usage(recording.usage, recording.api), recording.name
        assert reading.usage.raw == recording.usage, recording.name
        of_input, of_output = NAMES[recording.api]
        assert reading.usage.input_tokens == recording.usage[of_input], recording.name
        assert reading.usage.output_tokens == recording.usage.get(of_output, 0), recording.name
        assert reading.usage.total_tokens == recording.usage["total_tokens"], recording.name
    assert checked["chat_completions", False] > 400
    assert checked["chat_completions", True] > 80
    assert checked["embeddings", False] > 40
    assert checked["completions", False] > 20
    assert checked["responses", False] > 250
    assert checked["responses", True] > 80


def test_recorded_answers_are_described(
    recordings: list[Recording], reading_of: Callable[[Recording], Measurement]
) -> None:
    streams = 0
    for recording in recordings:
        reading = reading_of(recording)
        assert reading.done, recording.name
        assert reading.unreadable is None, recording.name
        assert (reading.error_code is not None) == (recording.status >= 400), recording.name
        if recording.status >= 400:
            continue
        assert reading.response_model == recording.model, recording.name
        assert reading.chunks == (recording.noted("events") if recording.is_stream else 1), recording.name
        if recording.api == "responses":
            assert len(reading.finish_reasons) == 1, recording.name
            assert reading.response_id, recording.name
        elif recording.api != "embeddings":
            for reason in ("stop", "length", "tool_calls", "function_call", "content_filter"):
                assert reading.finish_reasons.count(reason) == recording.noted(f"finish_{reason}"), recording.name
            assert reading.response_id, recording.name
        streams += recording.is_stream
    assert streams > 120


# What share of the counts is exact, a little less than was measured: prompts by what they hold, answers by their kind.
EXPECTED_PROMPTS = {
    "text": 0.93,
    "embeddings": 0.95,
    "completions": 0.88,
    "images": 0.80,
    "tools": 0.60,
    "tools, used": 0.25,
    "schema": 0.35,
    "responses, text": 0.92,
    "responses, tools": 0.15,
}
EXPECTED_ANSWERS = {
    "text": 0.90,
    "json": 0.87,
    "text, reasoning": 0.55,
    "calls": 0.45,
    "cut": 1.0,
    "completions": 0.80,
    "responses, text": 0.90,
    "responses, calls": 0.45,
    "responses, reasoning": 0.45,
}


def prompt_kind(recording: Recording) -> str:
    """What makes a prompt easy or hard to count; ``media`` is what cannot be counted at all."""
    if recording.api == "responses":
        return responses_kind(recording.request)
    if recording.api != "chat_completions":
        return recording.api
    request = recording.request
    messages = request["messages"]
    parts = [part for message in messages if isinstance(message.get("content"), list) for part in message["content"]]
    kinds = {part.get("type") for part in parts if isinstance(part, dict)}
    links = [part["image_url"] for part in parts if part.get("type") == "image_url"]
    urls = [link["url"] if isinstance(link, dict) else link for link in links]
    if kinds & {"file", "input_audio"} or "audio" in request.get("modalities", ()):
        return "media"
    if any(not url.startswith("data:") for url in urls):
        return "media"
    if (request.get("response_format") or {}).get("type") == "json_schema":
        return "schema"
    if any(message.get("tool_calls") or message["role"] in ("tool", "function") for message in messages):
        return "tools, used"
    if request.get("tools") or request.get("functions"):
        return "tools"
    return "images" if urls else "text"


def responses_kind(request: dict[str, Any]) -> str:
    given = request.get("input")
    items: list[dict[str, Any]] = given if isinstance(given, list) else []
    parts = [part for item in items for part in item.get("content") or [] if isinstance(part, dict)]
    remembered = any(request.get(name) for name in ("previous_response_id", "conversation", "prompt"))
    own_tools = any(tool["type"] != "function" for tool in request.get("tools") or [])
    if remembered or own_tools or any(part["type"] not in ("input_text", "output_text") for part in parts):
        return "responses, not counted"
    if ((request.get("text") or {}).get("format") or {}).get("type") == "json_schema":
        return "responses, schema"
    if any(item.get("type", "message") != "message" for item in items):
        return "responses, used"
    return "responses, tools" if request.get("tools") else "responses, text"


def answer_kind(recording: Recording, reading: Measurement) -> str | None:
    if recording.api == "responses":
        reasons = recording.model.startswith(("o1", "o3", "o4", "gpt-5"))
        called = any(choice.calls for choice in reading.output.choices())
        return "responses, calls" if called else "responses, reasoning" if reasons else "responses, text"
    if recording.api != "chat_completions":
        return recording.api if recording.api == "completions" else None
    if "length" in reading.finish_reasons:
        return "cut"
    if any(choice.calls for choice in reading.output.choices()):
        return "calls"
    if recording.model.startswith(("o1", "o3", "o4", "gpt-5")):
        return "text, reasoning"
    return "json" if recording.request.get("response_format") else "text"


class Score:
    """How far estimates of one kind are from what was reported."""

    def __init__(self) -> None:
        self.errors: list[int] = []
        self.reported = 0

    def add(self, estimated: int, reported: int) -> None:
        self.errors.append(estimated - reported)
        self.reported += reported

    def share(self, within: int) -> float:
        return sum(abs(error) <= within for error in self.errors) / len(self.errors)

    def row(self, kind: str) -> str:
        whole = sum(self.errors) / max(self.reported, 1)
        return f"{kind:24} {len(self.errors):4} {self.share(0):7.0%} {self.share(2):9.0%} {whole:+9.1%}\n"


def test_estimates_are_as_exact_as_measured(
    recordings: list[Recording], reading_of: Callable[[Recording], Measurement]
) -> None:
    prompts: dict[str, Score] = collections.defaultdict(Score)
    answers: dict[str, Score] = collections.defaultdict(Score)
    for recording in recordings:
        if (
            not (recording.usage or {}).get("total_tokens")
            or not recording.is_openai_model
            or not recording.request_body
        ):
            continue
        reading = reading_of(recording)
        assert reading.usage is not None
        estimated = estimate(
            recording.api,
            recording.request_body,
            reading,
            recording.model,
            ended_normally=True,
            azure=recording.is_azure,
        )
        prompts[prompt_kind(recording)].add(estimated.input_tokens, reading.usage.input_tokens)
        kind = answer_kind(recording, reading)
        if kind is not None and not reading.usage.output_audio_tokens:
            visible = reading.usage.output_tokens - reading.usage.reasoning_tokens
            answers[kind].add(estimated.output_tokens, visible)

    for title, scores, expected in (("prompts", prompts, EXPECTED_PROMPTS), ("answers", answers, EXPECTED_ANSWERS)):
        sys.stdout.write(f"\n{title:24}    n   exact  within 2   in sum\n")
        sys.stdout.writelines(scores[kind].row(kind) for kind in scores)
        for kind, least in expected.items():
            assert scores[kind].share(0) >= least, f"{title}: {kind}"
    assert len(prompts["text"].errors) > 200
    assert prompts["text"].share(2) > 0.98
    assert abs(sum(prompts["text"].errors)) < prompts["text"].reported * 0.001
