"""What the model says and what that uses: the nouns that surfaces put into their own words."""

from decimal import Decimal
from typing import Any

import msgspec

__all__ = ["Answer", "Choice", "ToolCall"]


class ToolCall(msgspec.Struct, frozen=True):
    """One call of a function. ``pieces`` are the arguments, with the tokens each piece adds."""

    id: str
    name: str
    name_tokens: int
    pieces: tuple[tuple[str, int], ...]
    custom: bool = False
    """Whether the arguments are free text, of a tool that takes such."""

    @property
    def arguments(self) -> str:
        return "".join(text for text, _ in self.pieces)

    @property
    def tokens(self) -> int:
        return self.name_tokens + sum(tokens for _, tokens in self.pieces)


class Choice(msgspec.Struct, frozen=True):
    """One choice: words of one token each, or tool calls."""

    index: int
    words: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    refused: bool = False
    """Whether the words are a refusal."""

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def tokens(self) -> int:
        """What a reader of the answer can count."""
        return len(self.words) + sum(call.tokens for call in self.tool_calls)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All choices of one call and its quantities; ``completion_tokens`` includes the reasoning."""

    model: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    """Of the prompt, besides the cached ones."""
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    choices: tuple[Choice, ...] = ()
    service_tier: str | None = None
    audio_tokens: int = 0
    """Of the prompt."""
    quantities: dict[str, int | Decimal] = {}
    """What else is charged, by the names that records have for it: ``{"images": 2}``."""

    @property
    def visible_tokens(self) -> int:
        return sum(choice.tokens for choice in self.choices)

    def usage(self) -> dict[str, Any]:
        """As chat and completions report it."""
        prompt: dict[str, Any] = {"audio_tokens": 0, "cached_tokens": self.cached_tokens}
        if self.cache_write_tokens:
            prompt["cache_write_tokens"] = self.cache_write_tokens
        return {
            "completion_tokens": self.completion_tokens,
            "completion_tokens_details": {
                "accepted_prediction_tokens": 0,
                "audio_tokens": 0,
                "reasoning_tokens": self.reasoning_tokens,
                "rejected_prediction_tokens": 0,
            },
            "prompt_tokens": self.prompt_tokens,
            "prompt_tokens_details": prompt,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }
