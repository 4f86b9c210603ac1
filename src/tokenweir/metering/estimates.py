"""Stands in for the usage an upstream did not report: counts the request and what was seen of the answer.

For calls that broke or were left before their usage came, and for prompts that Azure's filter refused but bills. How
good that is: docs/guides/estimates.md. Hidden reasoning is never seen, so an estimate is then a floor. Takes
milliseconds to a second: not for the event loop.
"""

from typing import Any

from ..apis import Surface, surface_of
from ..records import NO_USAGE, Usage
from ..wire import decode_json
from .completion import chat_output_tokens, responses_output_tokens, text_output_tokens
from .counter import Counter
from .measurement import Measurement
from .prompt import chat_tokens, input_tokens

__all__ = ["estimate"]

# Why an answer ended that its token limit cut.
_CUT = frozenset(["length", "max_tokens"])


def estimate(
    api: str,
    request_body: bytes,
    measurement: Measurement | None,
    model: str | None,
    *,
    ended_normally: bool,
    azure: bool,
) -> Usage:
    """What a call will have used. Never raises; what has an odd shape is left out.

    ``request_body`` is the client's own, ``measurement`` None if no answer came, ``model`` the one that answered
    if that is known. An answer that did not end normally, or was cut by its token limit, counts as the text
    seen and nothing more. What is not billed in tokens is
    counted in its own units. Where there is nothing to count, the source is ``none``.
    """
    surface = surface_of(api)
    kind = surface.estimate
    if kind is None:
        return _not_in_tokens(surface, request_body, measurement)
    decoded = decode_json(request_body)
    request: dict[str, Any] = decoded if isinstance(decoded, dict) else {}
    counter = Counter(model)
    choices = measurement.output.choices() if measurement is not None else []
    output = 0
    chat = request if surface.as_chat is None else surface.as_chat(request)
    if kind == "chat":
        prompt = chat_tokens(chat, model, counter)
        whole = ended_normally and measurement is not None and not _CUT.intersection(measurement.finish_reasons)
        output = chat_output_tokens(choices, request, model, counter, whole=whole, azure=azure)
    elif kind == "text":
        prompt = input_tokens(request.get("prompt"), counter)
        output = text_output_tokens(choices, request, counter)
    elif kind == "response":
        prompt = chat_tokens(chat, model, counter, in_responses=True)
        whole = ended_normally and measurement is not None and not _CUT.intersection(measurement.finish_reasons)
        output = responses_output_tokens(choices, request, model, counter, whole=whole)
    else:
        prompt = input_tokens(request.get("input"), counter)
    counted = measurement.counted if measurement is not None else {}
    return Usage(
        source="estimated",
        input_tokens=prompt,
        output_tokens=output,
        total_tokens=prompt + output,
        quantities=counted,
    )


def _not_in_tokens(surface: Surface, request_body: bytes, measurement: Measurement | None) -> Usage:
    """What was counted in the answer, and what the request alone says."""
    used = dict(measurement.counted) if measurement is not None else {}
    if surface.asked_for is not None:
        used |= surface.asked_for(request_body)
    if not used:
        return NO_USAGE
    is_known = any(quantity.amount is not None for quantity in used.values())
    return Usage(source="estimated" if is_known else "none", quantities=used)
