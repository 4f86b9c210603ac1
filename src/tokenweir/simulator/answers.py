"""What the model says to a call, and what that uses: decided before the first byte goes out.

Everything follows from the script and the prompt, so the same request gets the same answer again.
"""

import sys
import zlib
from typing import Any

import msgspec

from .. import vocabulary
from . import counting, prose
from .models import full_model_name
from .said import Answer, Choice, ToolCall
from .script import Script
from .structured import counted_pieces, json_for, one_token_each, schema_of

__all__ = ["DEFAULT_LENGTH", "chat_answer", "text_answer"]

DEFAULT_LENGTH = 32  # tokens, then on to the end of the sentence

# What recordings count above name and arguments: one call 7; several 22 in all, for a wrapper call.
_ONE_TOOL_CALL = 7
_PARALLEL_TOOL_CALLS = 22

_WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "parameters": {"properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def chat_answer(chat: dict[str, Any], deployment: str | None, script: Script) -> Answer:
    """The answer to the body of a chat: text, or calls of its tools."""
    model = script.model or full_model_name(deployment)
    encoding = vocabulary.encoding_name(model)
    prompt = counting.chat_tokens(chat, model, encoding)
    seed = _seed(chat.get("messages"))
    if calls := _tool_calls_wanted(chat, script):
        choices, overhead = _calling(chat, script, calls, seed, encoding)
        return _answered(chat, script, model, prompt, choices, overhead, script.reasoning_tokens)
    choices, reasoning = _telling(chat, script, chat.get("n") or 1, seed, encoding)
    return _answered(chat, script, model, prompt, choices, 0, reasoning)


def text_answer(body: dict[str, Any], deployment: str | None, script: Script) -> Answer:
    """The answer to a completions call: ``n`` choices for each prompt."""
    model = script.model or full_model_name(deployment)
    encoding = vocabulary.encoding_name(model)
    prompt = body.get("prompt")
    several = isinstance(prompt, list) and bool(prompt) and not isinstance(prompt[0], int)
    wanted = (body.get("n") or 1) * (len(prompt) if several and prompt else 1)
    choices, reasoning = _telling(body, script, wanted, _seed(prompt), encoding)
    return _answered(body, script, model, counting.input_tokens(prompt, encoding), choices, 0, reasoning)


def _seed(prompt: Any) -> int:
    return zlib.crc32(msgspec.json.encode(prompt))


def _answered(
    body: dict[str, Any],
    script: Script,
    model: str,
    prompt: int,
    choices: tuple[Choice, ...],
    overhead: int,
    reasoning: int,
) -> Answer:
    """``overhead``: the tokens that each choice has above what can be read."""
    cached = min(script.cached_tokens, prompt)
    return Answer(
        model=model,
        prompt_tokens=prompt,
        cached_tokens=cached,
        cache_write_tokens=min(script.cache_write_tokens, prompt - cached),
        completion_tokens=sum(choice.tokens + overhead for choice in choices) + reasoning,
        reasoning_tokens=reasoning,
        choices=choices,
        service_tier=_tier(body.get("service_tier"), script),
    )


def _tier(asked: Any, script: Script) -> str | None:
    """The tier that answers; named where one was asked for."""
    if script.service_tier is not None or not isinstance(asked, str):
        return script.service_tier
    return "default" if asked == "auto" else asked


def _telling(
    body: dict[str, Any], script: Script, wanted: int, seed: int, encoding: str
) -> tuple[tuple[Choice, ...], int]:
    """Choices made of text, and the reasoning before them; both fit within the caller's limit."""
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or sys.maxsize
    reasoning = min(script.reasoning_tokens, limit)
    schema = None if script.refusal else schema_of(body)
    choices = []
    for index in range(wanted):
        words, cut = _words(schema, script, limit - reasoning, seed + index, encoding)
        finish = script.finish_reason or ("length" if cut else "stop")
        choices.append(Choice(index, words, (), finish, refused=script.refusal))
    return tuple(choices), reasoning


def _words(
    schema: dict[str, Any] | None, script: Script, room: int, seed: int, encoding: str
) -> tuple[tuple[str, ...], bool]:
    """Prose or an object, and whether the caller's limit cut it. An object is about as long as was asked for."""
    length = script.output_tokens if script.output_tokens is not None else prose.about(DEFAULT_LENGTH, seed)
    if schema is None:
        ends = script.finish_reason == "stop" if script.finish_reason else length <= room
        return prose.words(min(length, room), seed, encoding, ends=ends), length > room
    words = one_token_each(json_for(schema, prose.phrase(1, seed)), encoding)
    if script.output_tokens is not None and (missing := length - len(words)) > 0:
        words = one_token_each(json_for(schema, prose.phrase(1 + missing, seed)), encoding)
    return words[:room], len(words) > room


def _tool_calls_wanted(chat: dict[str, Any], script: Script) -> int:
    choice = chat.get("tool_choice")
    wanted = script.tool_calls
    if wanted is None:
        wanted = int(bool(chat.get("tools")) and (choice == "required" or isinstance(choice, dict)))
    return min(wanted, 1) if chat.get("parallel_tool_calls") is False else wanted


def _calling(
    chat: dict[str, Any], script: Script, wanted: int, seed: int, encoding: str
) -> tuple[tuple[Choice, ...], int]:
    """Choices made of tool calls, and the tokens each choice has above what can be read.

    ``output_tokens`` is met by the length of the first call's first text argument, where it has one
    and the number leaves room; a limit of the caller's does not cut the JSON.
    """
    functions = [function for tool in chat.get("tools") or () if (function := _function(tool)) is not None]
    choice = chat.get("tool_choice")
    if isinstance(choice, dict):
        forced = (_function(choice) or {}).get("name")
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


def _function(tool: Any) -> dict[str, Any] | None:
    """What a tool, or the choice of one, says of a function; ``custom`` marks one that takes any text."""
    if not isinstance(tool, dict):
        return None
    custom = tool.get("custom")
    function = custom | {"custom": True} if isinstance(custom, dict) else tool.get("function")
    return function if isinstance(function, dict) and isinstance(function.get("name"), str) else None


def _tool_call(function: dict[str, Any], number: int, length: int, seed: int, encoding: str) -> ToolCall:
    filler = prose.phrase(length, seed)
    custom = function.get("custom") is True
    arguments = filler if custom else json_for(function.get("parameters"), filler)
    return ToolCall(
        id=f"call_{seed:08x}{number:016x}",
        name=function["name"],
        name_tokens=vocabulary.count(function["name"], encoding),
        pieces=counted_pieces(arguments, encoding),
        custom=custom,
    )
