"""Counts what a model wrote, from its visible text and tool calls. Reasoning is hidden: the count is a floor.

The corrections were fitted to recorded calls; of plain text, nine in ten come out exact.
"""

from collections.abc import Iterable
from typing import Any

from .counter import Counter, family_of
from .written import WrittenChoice

__all__ = ["chat_output_tokens", "responses_output_tokens", "text_output_tokens"]

# Around each call of a tool; once more, around several; and around a call of the older functions.
_CALL = 7
_WRAPPER = 14
_FUNCTION_CALL = 4


def chat_output_tokens(
    choices: Iterable[WrittenChoice],
    request: dict[str, Any],
    model: str | None,
    counter: Counter,
    *,
    whole: bool,
    azure: bool,
) -> int:
    """Tokens of a chat's answer; ``whole`` adds what closes an answer that was not cut.

    Azure counts one token more than OpenAI, and both do for text where tools were offered.
    """
    family = family_of(model)
    offered = _offers_tools(request) and not family.has_channels
    ends = (family.closing + (azure or offered), family.closing + azure) if whole else None
    return _tokens(choices, request, counter, ends)


def responses_output_tokens(
    choices: Iterable[WrittenChoice], request: dict[str, Any], model: str | None, counter: Counter, *, whole: bool
) -> int:
    """Tokens of what the Responses API answers. Azure and OpenAI count alike."""
    family = family_of(model)
    closing = family.closing_in_responses
    offered = _offers_tools(request) and not family.has_channels
    return _tokens(choices, request, counter, (closing + offered, closing) if whole else None)


def _offers_tools(request: dict[str, Any]) -> bool:
    return bool(request.get("tools") or request.get("functions"))


def _tokens(
    choices: Iterable[WrittenChoice], request: dict[str, Any], counter: Counter, ends: tuple[int, int] | None
) -> int:
    """What was written, and what ``ends`` it: a text, or calls."""
    total = 0
    forced = _is_forced(request)
    for choice in choices:
        calls = choice.calls
        total += counter.count(choice.text)
        total += sum((0 if forced else counter.count(name)) + counter.count(arguments) for name, arguments in calls)
        if ends is not None and (calls or choice.text):
            total += ends[bool(calls)] + _around(len(calls), request)
    return total


def text_output_tokens(choices: Iterable[WrittenChoice], request: dict[str, Any], counter: Counter) -> int:
    """Tokens of a legacy completion's answer, without the prompt that ``echo`` repeats in it."""
    prompt = request.get("prompt") if request.get("echo") else None
    prompts = [one for one in (prompt if isinstance(prompt, list) else [prompt]) if isinstance(one, str)]
    return sum(counter.count(_without_echo(choice.text, prompts)) for choice in choices)


def _without_echo(text: str, prompts: list[str]) -> str:
    echoed = max((prompt for prompt in prompts if text.startswith(prompt)), key=len, default="")
    return text.removeprefix(echoed)


def _is_forced(request: dict[str, Any]) -> bool:
    """Whether the request names the one function to be called. The model then writes nothing but the arguments."""
    choice = request.get("tool_choice") or request.get("function_call")
    return isinstance(choice, dict) and bool(choice.get("name") or choice.get("function"))


def _around(calls: int, request: dict[str, Any]) -> int:
    if not calls or _is_forced(request):
        return 0
    if request.get("functions"):
        return _FUNCTION_CALL
    return _CALL * calls + (_WRAPPER if calls > 1 else 0)
