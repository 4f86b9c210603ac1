"""The shapes of answers: a stream's frame and a whole body alike, read leniently.

A frame with an odd
field still yields its others, and bytes that are no JSON object yield nothing.
"""

from typing import Any, TypeVar

import msgspec

from ..records import Quantity, exact_amount
from ..wire import mend_json
from .digest import digest_of, told_usage
from .structs import AnswerChoice, ApiAnswer, LooseAnswer

__all__ = ["answer_of", "read_answer", "seconds_heard"]

Shape = TypeVar("Shape")


_decode = msgspec.json.Decoder(ApiAnswer).decode
_decode_loosely = msgspec.json.Decoder(LooseAnswer).decode


def read_answer(data: bytes) -> ApiAnswer | None:
    """One JSON object as an answer, or None if it is none."""
    try:
        return _decode(data)
    except (ValueError, RecursionError):
        return _read_loosely(mend_json(data))


def _read_loosely(data: bytes) -> ApiAnswer | None:
    try:
        loose = _decode_loosely(data)
    except (ValueError, RecursionError):
        facts = digest_of(data)
        return None if facts is None else answer_of(facts)
    return _loosely(loose)


def answer_of(facts: dict[str, Any]) -> ApiAnswer | None:
    """The answer that these facts amount to."""
    return _loosely(LooseAnswer(**{name: facts.get(_NAMES.get(name, name)) for name in LooseAnswer.__struct_fields__}))


_NAMES = {"status_code": "statusCode"}


def _loosely(loose: LooseAnswer) -> ApiAnswer:
    return ApiAnswer(
        id=_convert(loose.id, str),
        model=_convert(loose.model, str),
        choices=_convert(loose.choices, list[AnswerChoice]),
        usage=told_usage(loose.usage),
        service_tier=_convert(loose.service_tier, str),
        error=loose.error,
        status_code=loose.status_code,
    )


def _convert(value: Any, shape: type[Shape]) -> Shape | None:
    try:
        return msgspec.convert(value, shape)
    except (ValueError, RecursionError, OverflowError):
        return None


def seconds_heard(usage: dict[str, Any]) -> dict[str, Quantity]:
    """The quantities of a usage that may tell seconds of audio instead of tokens."""
    seconds = exact_amount(usage.get("seconds"))
    return {"input_audio_seconds": Quantity(seconds)} if seconds else {}
