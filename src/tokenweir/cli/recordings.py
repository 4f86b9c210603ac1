"""Recorded calls, and how far estimates are from the usage that their answers report.

A recording is a JSON file: ``request`` with its ``url`` and ``body``, ``response`` with ``status``, ``headers`` and
``body`` (the bodies as text, a stream's events as they came). An ``index.jsonl`` beside them may name files to leave
out: lines with ``file`` and ``"openai_model": false``, or with ``notes`` that say ``edited by hand``.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..apis import METERED, surface_of
from ..errors import ConfigError
from ..metering import Measurement, estimate, meter_for

__all__ = ["Recording", "Score", "compare", "read_recordings"]

_REASONING = ("o1", "o3", "o4", "gpt-5")
_OF_RESPONSES = ("previous_response_id", "conversation", "prompt")


class Recording(msgspec.Struct, frozen=True):
    """One recorded call of a surface whose usage can be estimated."""

    name: str
    api: str
    azure: bool
    request_body: bytes
    answer: bytes

    @property
    def half(self) -> int:
        """0 or 1, by the hash of its name: what fits constants to one half is measured on the other."""
        return hashlib.sha256(self.name.encode()).digest()[-1] % 2

    def read(self) -> Measurement:
        """What the meter says of the answer."""
        stream = self.answer.lstrip()[:6] in (b"event:", b"data: ", b"data:{") or self.answer.startswith(b":")
        meter = meter_for(
            surface_of(self.api),
            event_stream=stream,
            content_encoding="",
            keep_content=False,
            monotonic=lambda: 0.0,
        )
        meter.feed(self.answer)
        return meter.finish()


class Score(msgspec.Struct):
    """How far estimates of one kind are from what was reported."""

    errors: list[int] = []
    reported: int = 0

    def add(self, estimated: int, reported: int) -> None:
        self.errors.append(estimated - reported)
        self.reported += reported

    def share(self, within: int) -> float:
        return sum(abs(error) <= within for error in self.errors) / len(self.errors)

    @property
    def in_sum(self) -> float:
        return sum(self.errors) / max(self.reported, 1)


def read_recordings(folder: Path) -> Iterator[Recording]:
    """Those with a request and an answer of status 200. Raises ``ConfigError`` where a folder has none to read."""
    left_out = _left_out(folder / "index.jsonl")
    files = sorted(folder.rglob("*.json"))
    if not files:
        raise ConfigError(f"There are no recordings (*.json) under {folder}.")
    for file in files:
        name = str(file.relative_to(folder))
        if name not in left_out and (recording := _recording(name, file.read_bytes())) is not None:
            yield recording


def _left_out(index: Path) -> set[str]:
    if not index.exists():
        return set()
    rows = [msgspec.json.decode(line) for line in index.read_bytes().splitlines()]
    return {
        row["file"] for row in rows if row.get("openai_model") is False or "edited by hand" in str(row.get("notes"))
    }


def _recording(name: str, data: bytes) -> Recording | None:
    try:
        call = msgspec.json.decode(data)
        url = urlsplit(call["request"]["url"])
        asked, answered = call["request"]["body"], call["response"]["body"]
        status = call["response"]["status"]
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return None
    api = next((surface.name for path, surface in METERED["openai"].items() if url.path.endswith(f"/{path}")), None)
    if api is None or status != 200 or not (isinstance(asked, str) and isinstance(answered, str)):
        return None
    azure = "azure" in (url.hostname or "")
    return Recording(name, api, azure, asked.encode(), answered.encode())


def compare(recordings: Iterator[Recording], half: int | None = None) -> tuple[dict[str, Score], dict[str, Score]]:
    """Scores of prompts and of answers, by kind; of one half of the recordings where one is named."""
    prompts: dict[str, Score] = {}
    answers: dict[str, Score] = {}
    for recording in recordings:
        measurement = recording.read()
        usage = measurement.usage
        if usage is None or not usage.total_tokens or half not in (None, recording.half):
            continue
        try:
            request = msgspec.json.decode(recording.request_body)
        except msgspec.DecodeError:
            continue
        model = measurement.response_model
        guess = estimate(
            recording.api,
            recording.request_body,
            measurement,
            model,
            ended_normally=True,
            azure=recording.azure,
        )
        if guess.source != "estimated":
            continue
        prompts.setdefault(_prompt_kind(recording.api, request), Score()).add(guess.input_tokens, usage.input_tokens)
        kind = _answer_kind(recording.api, request, measurement, model or "")
        if kind is not None and not usage.output_audio_tokens:
            visible = usage.output_tokens - usage.reasoning_tokens
            answers.setdefault(kind, Score()).add(guess.output_tokens, visible)
    return prompts, answers


def _prompt_kind(api: str, request: dict[str, Any]) -> str:
    """What makes a prompt easy or hard to count."""
    if api == "responses":
        return _responses_kind(request)
    if api != "chat_completions":
        return api
    messages = request["messages"]
    parts = [part for message in messages for part in _dicts(message.get("content"))]
    kinds = {part.get("type") for part in parts}
    links = [part["image_url"] for part in parts if part.get("type") == "image_url"]
    urls = [link["url"] if isinstance(link, dict) else link for link in links]
    if kinds & {"file", "input_audio"} or "audio" in request.get("modalities", ()):
        return "files, sounds, linked images"
    if any(not url.startswith("data:") for url in urls):
        return "files, sounds, linked images"
    if (request.get("response_format") or {}).get("type") == "json_schema":
        return "schema"
    if any(message.get("tool_calls") or message["role"] in ("tool", "function") for message in messages):
        return "tools, used"
    if request.get("tools") or request.get("functions"):
        return "tools"
    return "images" if urls else "text"


def _responses_kind(request: dict[str, Any]) -> str:
    items = _dicts(request.get("input"))
    parts = [part for item in items for part in _dicts(item.get("content"))]
    own_tools = any(tool["type"] != "function" for tool in _dicts(request.get("tools")))
    texts = all(part["type"] in ("input_text", "output_text", "reasoning_text") for part in parts)
    if own_tools or not texts or any(request.get(name) for name in _OF_RESPONSES):
        return "responses, unseen parts"
    if ((request.get("text") or {}).get("format") or {}).get("type") == "json_schema":
        return "responses, schema"
    kinds = {item.get("type") or "message" for item in items}
    if "reasoning" in kinds and "function_call" in kinds:
        return "responses, hidden reasoning"
    if kinds - {"message", "reasoning"}:
        return "responses, tools used"
    return "responses, tools" if request.get("tools") else "responses, text"


def _answer_kind(api: str, request: dict[str, Any], measurement: Measurement, model: str) -> str | None:
    called = any(choice.calls for choice in measurement.output.choices())
    reasons = model.startswith(_REASONING)
    if api == "responses":
        return "responses, calls" if called else "responses, reasoning" if reasons else "responses, text"
    if api != "chat_completions":
        return api if api == "completions" else None
    if "length" in measurement.finish_reasons:
        return "text, cut"
    if called:
        return "calls"
    if reasons:
        return "text, reasoning"
    return "JSON" if request.get("response_format") else "text"


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
