"""Ways to use each surface of a gateway: one line a surface, and every test that asks in all of them has it."""

import json
import random
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from tokenweir.simulator import Script

__all__ = ["DEPLOYMENTS", "SOCKETS", "WAYS", "SocketWay", "Way"]

_WORDS = [
    "Wasser",
    "fließt",
    "über",
    "das",
    "Wehr",
    "水が堰を越えて流れる",
    "🙂",
    "water",
    "flows",
    "over",
    "a",
    "weir",
]
_PROMPT = "$prompt"
_USER = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": _PROMPT}]
_ASKED = {"model": "gpt-4o", "input": "Say hello to the river."}
_LIMIT = {"max_tokens": 9_000}
_THINKS = {
    "max_tokens": 9_000,
    "thinking": {"type": "enabled", "budget_tokens": 1_024},
    "tools": [{"type": "web_search_20250305", "name": "web_search"}],
}
_BUILT_IN = [
    {"type": "web_search"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter"},
]
_CLAUDE = {"anthropic-version": "2023-06-01"}
_SOUND = "file", b"RIFF" + bytes(24) + (32_000).to_bytes(4, "little") + bytes(80_000)
_PICTURE = "image", b"\x89PNG" + bytes(2_000)


class Way(NamedTuple):
    """A call of one surface. ``$prompt`` in its body becomes a text of chance length."""

    api: str
    """As records call it."""
    path: str
    body: Mapping[str, Any]
    streams: bool = False
    file: tuple[str, bytes] | None = None
    """The field of a form that has a file; with it the body's members are fields."""
    headers: Mapping[str, str] = {}
    asks_for_usage: bool = False
    """Whether a stream has to ask for its usage, which one in two then does."""
    is_counted: bool = False
    """Whether its answer tells no usage: a thread counts it, and the record is made after that."""

    def request(self, url: str, key: str, script: Script, chance: random.Random, *, stream: bool) -> httpx.Request:
        """The call as HTTP."""
        text = " ".join(chance.choices(_WORDS, k=chance.randrange(1, 60)))
        body = json.loads(json.dumps(self.body).replace(_PROMPT, text))
        if stream:
            body["stream"] = True if self.file is None else "true"
            if self.asks_for_usage and chance.random() < 0.5:
                body["stream_options"] = {"include_usage": True}
        headers = {"api-key": key, **self.headers, **script.headers()}
        if self.file is not None:
            name, data = self.file
            files = {name: ("file.bin", data, "application/octet-stream")}
            return httpx.Request("POST", url + self.path, headers=headers, data=body, files=files)
        return httpx.Request("POST", url + self.path, headers=headers, json=body)


def _dated(deployment: str, operation: str) -> str:
    return f"/openai/deployments/{deployment}/{operation}?api-version=2025-04-01-preview"


class SocketWay(NamedTuple):
    """A session of one surface over WebSocket, in which turns follow each other."""

    api: str
    path: str
    turn: Mapping[str, Any]
    """The event that asks for a turn."""
    last: str
    """The type of the event that ends one."""


WAYS = (
    Way("chat_completions", _dated("gpt-4o", "chat/completions"), {"messages": _USER}, True, asks_for_usage=True),
    Way("completions", _dated("gpt-35-turbo", "completions"), {"prompt": _PROMPT}, True, asks_for_usage=True),
    Way("responses", "/openai/v1/responses", {"model": "gpt-4o", "input": _PROMPT}, True),
    Way("responses", "/openai/v1/responses", {"model": "gpt-5", "input": _PROMPT, "tools": _BUILT_IN}, True),
    Way("embeddings", "/openai/v1/embeddings", {"model": "text-embedding-3-small", "input": [_PROMPT, "Wehr"]}),
    Way("messages", "/anthropic/v1/messages", {"model": "claude", "messages": _USER, **_LIMIT}, True, headers=_CLAUDE),
    Way("messages", "/anthropic/v1/messages", {"model": "claude", "messages": _USER, **_THINKS}, True, headers=_CLAUDE),
    Way("audio_transcriptions", "/openai/v1/audio/transcriptions", {"model": "gpt-4o-transcribe"}, True, file=_SOUND),
    Way(
        "audio_translations",
        _dated("whisper", "audio/translations"),
        {"model": "whisper"},
        file=_SOUND,
        is_counted=True,
    ),
    Way("audio_speech", _dated("tts", "audio/speech"), {"input": _PROMPT, "voice": "alloy"}, is_counted=True),
    Way(
        "images_generations", "/openai/v1/images/generations", {"model": "gpt-image-1", "prompt": _PROMPT, "n": 2}, True
    ),
    Way("images_edits", _dated("gpt-image-1", "images/edits"), {"prompt": _PROMPT}, True, file=_PICTURE),
    Way("moderations", "/openai/v1/moderations", {"model": "omni-moderation", "input": _PROMPT}),
    Way("rerank", "/openai/v1/rerank", {"model": "rerank", "query": _PROMPT, "documents": ["Wehr", "weir"]}),
)

SOCKETS = (
    SocketWay("realtime", "/openai/v1/realtime?model=gpt-realtime", {"type": "response.create"}, "response.done"),
    SocketWay("responses", "/openai/v1/responses", {"type": "response.create", **_ASKED}, "response.completed"),
)

DEPLOYMENTS = (
    "gpt-4o",
    "gpt-35-turbo",
    "text-embedding-3-small",
    "claude",
    "gpt-5",
    "gpt-4o-transcribe",
    "whisper",
    "tts",
    "gpt-image-1",
    "omni-moderation",
    "rerank",
    "gpt-realtime",
)
"""What they ask for."""
