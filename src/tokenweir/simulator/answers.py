"""What the model says to a call, and what that uses: decided before the first byte goes out.

Everything follows from the script and the prompt, so the same request gets the same answer again.
"""

import re
import sys
import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

from .. import vocabulary
from . import counting, prose
from .routes import Call, full_model_name
from .script import Script

__all__ = ["Answer", "Choice", "ToolCall", "answer"]

DEFAULT_LENGTH = 32  # tokens, then on to the end of the sentence

# What recordings count above name and arguments: one call 7; several 22 in all, for a wrapper call.
_ONE_TOOL_CALL = 7
_PARALLEL_TOOL_CALLS = 22

_WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "parameters": {"properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_ARGUMENT_PIECE = re.compile(r" ?[^\W\d_]+|\d+|[^\w\s]+|.", re.DOTALL)


class ToolCall(msgspec.Struct, frozen=True):
    """One call of a function. ``pieces`` are the arguments, with the tokens each piece adds."""

    id: str
    name: str
    name_tokens: int
    pieces: tuple[tuple[str, int], ...]

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
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    choices: tuple[Choice, ...]
    audio_tokens: int = 0
    """Of the prompt."""
    audio_seconds: float = 0.0
    """Of the prompt, where it is charged by them and not by tokens."""

    @property
    def visible_tokens(self) -> int:
        return sum(choice.tokens for choice in self.choices)

    def usage(self) -> dict[str, Any]:
        """As chat and completions report it."""
        return {
            "completion_tokens": self.completion_tokens,
            "completion_tokens_details": {
                "accepted_prediction_tokens": 0,
                "audio_tokens": 0,
                "reasoning_tokens": self.reasoning_tokens,
                "rejected_prediction_tokens": 0,
            },
            "prompt_tokens": self.prompt_tokens,
            "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": self.cached_tokens},
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


def answer(call: Call, script: Script) -> Answer:
    """The answer to a chat, a message, a completions or embeddings call (which has no choices)."""
    model = script.model or full_model_name(call.deployment, call.api)
    encoding = vocabulary.encoding_name(model)
    prompt = _prompt_tokens(call, model, encoding)
    cached = min(script.cached_tokens, prompt)
    if call.api == "embeddings":
        return Answer(
            model=model,
            prompt_tokens=prompt,
            cached_tokens=cached,
            completion_tokens=0,
            reasoning_tokens=0,
            choices=(),
        )
    seed = zlib.crc32(msgspec.json.encode(call.body.get("messages", call.body.get("prompt"))))
    if call.api == "chat_completions" and (calls := _tool_calls_wanted(call.body, script)):
        choices, overhead = _calling(call, script, calls, seed, encoding)
        reasoning = script.reasoning_tokens
    else:
        choices, reasoning = _telling(call, script, seed, encoding)
        overhead = 0
    return Answer(
        model=model,
        prompt_tokens=prompt,
        cached_tokens=cached,
        completion_tokens=sum(choice.tokens + overhead for choice in choices) + reasoning,
        reasoning_tokens=reasoning,
        choices=choices,
    )


def _prompt_tokens(call: Call, model: str, encoding: str) -> int:
    if call.api == "chat_completions":
        return counting.chat_tokens(call.body, model, encoding)
    return counting.input_tokens(call.body.get("prompt", call.body.get("input")), encoding)


def _number_of_choices(call: Call) -> int:
    """``n`` for a chat; ``n`` for each prompt of a completions call."""
    prompts = call.body.get("prompt")
    several = isinstance(prompts, list) and bool(prompts) and not isinstance(prompts[0], int)
    return (call.body.get("n") or 1) * (len(prompts) if several and prompts else 1)


def _telling(call: Call, script: Script, seed: int, encoding: str) -> tuple[tuple[Choice, ...], int]:
    """Choices made of text, and the reasoning before them; both fit within the caller's limit."""
    limit = call.body.get("max_completion_tokens") or call.body.get("max_tokens") or sys.maxsize
    reasoning = min(script.reasoning_tokens, limit)
    choices = []
    for index in range(_number_of_choices(call)):
        length = script.output_tokens
        if length is None:
            length = prose.about(DEFAULT_LENGTH, seed + index)
        cut = reasoning + length > limit
        if cut:
            length = limit - reasoning
        finish = script.finish_reason or ("length" if cut else "stop")
        words = prose.words(length, seed + index, encoding, ends=finish == "stop")
        choices.append(Choice(index, words, (), finish))
    return tuple(choices), reasoning


def _tool_calls_wanted(body: dict[str, Any], script: Script) -> int:
    if script.tool_calls is not None:
        return script.tool_calls
    choice = body.get("tool_choice")
    return int(bool(body.get("tools")) and (choice == "required" or isinstance(choice, dict)))


def _calling(call: Call, script: Script, wanted: int, seed: int, encoding: str) -> tuple[tuple[Choice, ...], int]:
    """Choices made of tool calls, and the tokens each choice has above what can be read.

    ``output_tokens`` is met by the length of the first call's first text argument, where it has one
    and the number leaves room; a limit of the caller's does not cut the JSON.
    """
    functions = [tool["function"] for tool in call.body.get("tools") or () if _is_function(tool)]
    choice = call.body.get("tool_choice")
    if isinstance(choice, dict):
        forced = choice.get("function", {}).get("name")
        functions = [function for function in functions if function["name"] == forced]
    functions = functions or [_WEATHER]
    overhead = _ONE_TOOL_CALL if wanted == 1 else _PARALLEL_TOOL_CALLS
    choices = []
    for index in range(_number_of_choices(call)):
        calls = [
            _tool_call(functions[number % len(functions)], number, 1, seed + index, encoding)
            for number in range(wanted)
        ]
        missing = (script.output_tokens or 0) - overhead - sum(made.tokens for made in calls)
        if missing > 0:
            calls[0] = _tool_call(functions[0], 0, 1 + missing, seed + index, encoding)
        choices.append(Choice(index, (), tuple(calls), script.finish_reason or "tool_calls"))
    return tuple(choices), overhead


def _is_function(tool: Any) -> bool:
    function = tool.get("function") if isinstance(tool, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def _tool_call(function: dict[str, Any], number: int, length: int, seed: int, encoding: str) -> ToolCall:
    filler = prose.phrase(length, seed)
    arguments = msgspec.json.encode(_arguments(function.get("parameters"), filler)).decode()
    return ToolCall(
        id=f"call_{seed:08x}{number:016x}",
        name=function["name"],
        name_tokens=vocabulary.count(function["name"], encoding),
        pieces=_counted_pieces(arguments, encoding),
    )


def _arguments(schema: Any, filler: str) -> dict[str, Any]:
    """The least object that a schema asks for; its first free text is the filler."""
    if not isinstance(schema, dict):
        return {}
    properties = schema.get("properties") or {}
    made: dict[str, Any] = {}
    for name in schema.get("required") or properties:
        made[name] = _value(properties.get(name) or {}, filler)
        if made[name] == filler:
            filler = "river"
    return made


def _value(schema: dict[str, Any], filler: str) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    match schema.get("type"):
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case "array":
            return []
        case "object":
            return _arguments(schema, filler)
        case _:
            return filler


@lru_cache(maxsize=256)
def _counted_pieces(text: str, encoding: str) -> tuple[tuple[str, int], ...]:
    """A text in pieces, each with what it adds to the count of the text before it."""
    return tuple(_added(_ARGUMENT_PIECE.findall(text), encoding))


def _added(pieces: Iterable[str], encoding: str) -> Iterable[tuple[str, int]]:
    so_far, counted = "", 0
    for piece in pieces:
        so_far += piece
        total = vocabulary.count(so_far, encoding)
        yield piece, total - counted
        counted = total
