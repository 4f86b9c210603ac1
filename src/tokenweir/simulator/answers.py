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
from .models import full_model_name
from .said import Answer, Choice, ToolCall
from .script import Script

__all__ = ["DEFAULT_LENGTH", "chat_answer", "text_answer"]

DEFAULT_LENGTH = 32  # tokens, then on to the end of the sentence

# What recordings count above name and arguments: one call 7; several 22 in all, for a wrapper call.
_ONE_TOOL_CALL = 7
_PARALLEL_TOOL_CALLS = 22

_WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "parameters": {"properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_ARGUMENT_PIECE = re.compile(r" ?[^\W\d_]+|\d+|[^\w\s]+|.", re.DOTALL)


def chat_answer(chat: dict[str, Any], deployment: str | None, script: Script) -> Answer:
    """The answer to the body of a chat: text, or calls of its tools."""
    model = script.model or full_model_name(deployment)
    encoding = vocabulary.encoding_name(model)
    prompt = counting.chat_tokens(chat, model, encoding)
    seed = _seed(chat.get("messages"))
    if calls := _tool_calls_wanted(chat, script):
        choices, overhead = _calling(chat, script, calls, seed, encoding)
        return _answered(script, model, prompt, choices, overhead, script.reasoning_tokens)
    choices, reasoning = _telling(chat, script, chat.get("n") or 1, seed, encoding)
    return _answered(script, model, prompt, choices, 0, reasoning)


def text_answer(body: dict[str, Any], deployment: str | None, script: Script) -> Answer:
    """The answer to a completions call: ``n`` choices for each prompt."""
    model = script.model or full_model_name(deployment)
    encoding = vocabulary.encoding_name(model)
    prompt = body.get("prompt")
    several = isinstance(prompt, list) and bool(prompt) and not isinstance(prompt[0], int)
    wanted = (body.get("n") or 1) * (len(prompt) if several and prompt else 1)
    choices, reasoning = _telling(body, script, wanted, _seed(prompt), encoding)
    return _answered(script, model, counting.input_tokens(prompt, encoding), choices, 0, reasoning)


def _seed(prompt: Any) -> int:
    return zlib.crc32(msgspec.json.encode(prompt))


def _answered(
    script: Script, model: str, prompt: int, choices: tuple[Choice, ...], overhead: int, reasoning: int
) -> Answer:
    """``overhead``: the tokens that each choice has above what can be read."""
    return Answer(
        model=model,
        prompt_tokens=prompt,
        cached_tokens=min(script.cached_tokens, prompt),
        completion_tokens=sum(choice.tokens + overhead for choice in choices) + reasoning,
        reasoning_tokens=reasoning,
        choices=choices,
    )


def _telling(
    body: dict[str, Any], script: Script, wanted: int, seed: int, encoding: str
) -> tuple[tuple[Choice, ...], int]:
    """Choices made of text, and the reasoning before them; both fit within the caller's limit."""
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or sys.maxsize
    reasoning = min(script.reasoning_tokens, limit)
    choices = []
    for index in range(wanted):
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


def _calling(
    chat: dict[str, Any], script: Script, wanted: int, seed: int, encoding: str
) -> tuple[tuple[Choice, ...], int]:
    """Choices made of tool calls, and the tokens each choice has above what can be read.

    ``output_tokens`` is met by the length of the first call's first text argument, where it has one
    and the number leaves room; a limit of the caller's does not cut the JSON.
    """
    functions = [tool["function"] for tool in chat.get("tools") or () if _is_function(tool)]
    choice = chat.get("tool_choice")
    if isinstance(choice, dict):
        forced = choice.get("function", {}).get("name")
        functions = [function for function in functions if function["name"] == forced]
    functions = functions or [_WEATHER]
    overhead = _ONE_TOOL_CALL if wanted == 1 else _PARALLEL_TOOL_CALLS
    choices = []
    for index in range(chat.get("n") or 1):
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
