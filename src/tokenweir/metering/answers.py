"""The shapes of answers: a stream's frame and a whole body alike, read leniently.

Only what metering asks for is named; everything else is skipped without being built. A frame with an odd
field still yields its others, and bytes that are no JSON object yield nothing.
"""

from typing import Any, TypeVar

import msgspec

from ..wire import mend_json
from .digest import digest_of

__all__ = ["Answer", "Call", "Choice", "Custom", "Function", "Message", "Tools", "answer_of", "read_answer"]

Shape = TypeVar("Shape")


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class Custom(msgspec.Struct, gc=False):
    """A call of a tool that takes free text."""

    name: str | None = None
    input: str | None = None


class Call(msgspec.Struct, gc=False):
    index: int | None = None
    function: Function | None = None
    custom: Custom | None = None


class Message(msgspec.Struct, gc=False):
    """A frame's ``delta`` or a body's ``message``."""

    content: str | list[Any] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    audio: Any = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None


class Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: Message | None = None
    message: Message | None = None
    text: str | None = None
    finish_reason: str | None = None


class Tools(msgspec.Struct, gc=False):
    """What the upstream's own tools did for an answer."""

    usage: dict[str, Any] | None = None
    """Its ``tool_usage``."""
    calls: dict[str, int] = {}
    """Items of output by type."""
    are_all: bool = False
    """Whether these are all the calls of the answer; otherwise they come on top of those before."""


class Answer(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: dict[str, Any] | None = None
    service_tier: str | None = None
    error: Any = None
    status_code: Any = msgspec.field(default=None, name="statusCode")
    """API Management's own errors have this instead of ``error``."""

    @property
    def tools(self) -> "Tools | None":
        """What the upstream's own tools did, of which chats say nothing."""
        return None

    @property
    def ends(self) -> bool:
        """Whether it says by itself that nothing follows; a chat's stream has ``[DONE]`` for that."""
        return False

    @property
    def is_error(self) -> bool:
        return self.error is not None or self.status_code is not None

    @property
    def error_code(self) -> str:
        """An error's code, or its type where the code is null, or ``"error"`` where there is neither."""
        stated = self.error if isinstance(self.error, dict) else {}
        code = stated.get("code") or stated.get("type") or self.status_code
        return str(code) if isinstance(code, (str, int)) else "error"


class Loose(msgspec.Struct):
    id: Any = None
    model: Any = None
    choices: Any = None
    usage: Any = None
    service_tier: Any = None
    error: Any = None
    status_code: Any = msgspec.field(default=None, name="statusCode")


_decode = msgspec.json.Decoder(Answer).decode
_decode_loosely = msgspec.json.Decoder(Loose).decode


def read_answer(data: bytes) -> Answer | None:
    """One JSON object as an answer, or None if it is none."""
    try:
        return _decode(data)
    except (ValueError, RecursionError):
        return _read_loosely(mend_json(data))


def _read_loosely(data: bytes) -> Answer | None:
    try:
        loose = _decode_loosely(data)
    except (ValueError, RecursionError):
        facts = digest_of(data)
        return None if facts is None else answer_of(facts)
    return _loosely(loose)


def answer_of(facts: dict[str, Any]) -> Answer | None:
    """The answer that these facts amount to."""
    return _loosely(Loose(**{name: facts.get(_NAMES.get(name, name)) for name in Loose.__struct_fields__}))


_NAMES = {"status_code": "statusCode"}


def _loosely(loose: "Loose") -> Answer:
    return Answer(
        id=_convert(loose.id, str),
        model=_convert(loose.model, str),
        choices=_convert(loose.choices, list[Choice]),
        usage=_convert(loose.usage, dict[str, Any]),
        service_tier=_convert(loose.service_tier, str),
        error=loose.error,
        status_code=loose.status_code,
    )


def _convert(value: Any, shape: type[Shape]) -> Shape | None:
    try:
        return msgspec.convert(value, shape)
    except (ValueError, RecursionError, OverflowError):
        return None
