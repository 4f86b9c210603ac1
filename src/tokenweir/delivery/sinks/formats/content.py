"""What was asked and answered, read from bodies that were kept: messages, text and tool calls, of a stream or a whole
answer. What the caller asked stays as it stands in the body.

Read member by member, so that one odd field costs nothing but itself.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from ....wire import data_of, decode_json, mend_json, split_events

__all__ = ["ChoiceContent", "RequestContent", "read_answer", "read_members", "read_request"]

_encode = msgspec.json.Encoder().encode

_CALLED = ("function", "custom")
_WRITTEN = ("arguments", "input")


class ChoiceContent(msgspec.Struct, frozen=True):
    """One choice of an answer. ``None`` where there was no such text, which is not the same as an empty one."""

    content: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] = []
    """As a whole answer has them, also where they came in pieces."""


def read_answer(body: str) -> list[ChoiceContent]:
    """The choices of an answer by index; none where the body is no answer."""
    choices: dict[int, _Choice] = {}
    for frame in _frames(body):
        for position, choice in enumerate(_choices(_dict(frame))):
            index = _dict(choice).get("index")
            choices.setdefault(index if isinstance(index, int) else position, _Choice()).add(_dict(choice))
    return [choice.finished() for _, choice in sorted(choices.items())]


def _choices(frame: dict[str, Any]) -> list[Any]:
    """Those of an answer or of an event; what Claude's Messages say, block by block, is pieces of the first one."""
    blocks: list[tuple[Any, Any]]
    match frame.get("type"):
        case "message":
            blocks = list(enumerate(_list(frame.get("content"))))
        case "content_block_start":
            blocks = [(frame.get("index"), frame.get("content_block"))]
        case "content_block_delta":
            blocks = [(frame.get("index"), frame.get("delta"))]
        case _:
            return _list(frame.get("choices"))
    return [{"index": 0, "delta": _piece(number, _dict(block))} for number, block in blocks]


def _piece(number: Any, block: dict[str, Any]) -> dict[str, Any]:
    match block.get("type"):
        case "text" | "text_delta":
            return {"content": block.get("text")}
        case "tool_use":
            written = _encode(block["input"]).decode() if block.get("input") else ""
            called = {"name": block.get("name"), "arguments": written}
            return {"tool_calls": [{"index": number, "id": block.get("id"), "type": "function", "function": called}]}
        case "input_json_delta":
            return {"tool_calls": [{"index": number, "function": {"arguments": block.get("partial_json")}}]}
    return {}


class _Choice:
    """Gathers the pieces of one choice."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _Call] = {}

    def add(self, choice: dict[str, Any]) -> None:
        message = _dict(choice.get("delta")) or _dict(choice.get("message"))
        self._content += _texts(message.get("content")) + _texts(choice.get("text"))
        self._refusal += _texts(message.get("refusal"))
        for position, call in enumerate(_list(message.get("tool_calls"))):
            index = _dict(call).get("index")
            self._call(index if isinstance(index, int) else position).add(_dict(call))
        if isinstance(function := message.get("function_call"), dict):  # how tools were called before 2023-12
            self._call(0).add({"type": "function", "function": function})

    def finished(self) -> ChoiceContent:
        calls = [call.whole() for _, call in sorted(self._calls.items())]
        return ChoiceContent(_joined(self._content), _joined(self._refusal), calls)

    def _call(self, index: int) -> "_Call":
        return self._calls.setdefault(index, _Call())


class _Call:
    """Gathers the pieces of one tool call: what the model writes comes bit by bit, everything else at once."""

    def __init__(self) -> None:
        self._call: dict[str, Any] = {}
        self._written: dict[tuple[str, str], list[str]] = {}

    def add(self, call: dict[str, Any]) -> None:
        for name, value in call.items():
            if name in _CALLED:
                self._add_called(name, _dict(value))
            elif name != "index" and value is not None:
                self._call[name] = value

    def whole(self) -> dict[str, Any]:
        for (name, key), pieces in self._written.items():
            self._call[name][key] = "".join(pieces)
        return self._call

    def _add_called(self, name: str, called: dict[str, Any]) -> None:
        known = self._call.setdefault(name, {})
        for key, value in called.items():
            if key in _WRITTEN and isinstance(value, str):
                self._written.setdefault((name, key), []).append(value)
            elif value is not None:
                known[key] = value


def _frames(body: str) -> Iterator[Any]:
    raw = body.encode(errors="replace")
    if raw.lstrip()[:1] == b"{":
        yield decode_json(raw)
        return
    for event in split_events(raw):
        if (data := data_of(event)) and data != b"[DONE]":
            yield decode_json(data)


def _texts(value: Any) -> list[str]:
    """A text, or the texts of a list of parts, as some partner models send their content."""
    if isinstance(value, str):
        return [value]
    return [part["text"] for part in _list(value) if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _joined(pieces: list[str]) -> str | None:
    return "".join(pieces) if pieces else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_NOTHING = msgspec.Raw(b"null")
_NO_MESSAGES = msgspec.Raw(b"[]")


class _RequestBody(msgspec.Struct):
    messages: msgspec.Raw = _NO_MESSAGES
    prompt: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING


class RequestContent(msgspec.Struct, frozen=True):
    """JSON texts, without white space between the tokens, so that they fit into a line."""

    messages: msgspec.Raw = _NO_MESSAGES
    """A chat's messages, ``[]`` where there are none."""
    input: msgspec.Raw = _NOTHING
    """A completion's ``prompt``, or the ``input`` of an embedding or a response; ``null`` where there is none."""


def read_request(body: str | None) -> RequestContent:
    """What can be taken from a body; nothing from one that is no JSON object."""
    if body is None:
        return RequestContent()
    raw = body.encode(errors="replace")
    for attempt in (bytes, mend_json):
        try:
            found = msgspec.json.decode(attempt(raw), type=_RequestBody)
            messages = _on_one_line(found.messages)
            has_messages = bytes(messages)[:1] == b"["
            asked = _on_one_line(found.input if bytes(found.prompt) == b"null" else found.prompt)
            return RequestContent(messages if has_messages else _NO_MESSAGES, asked)
        except (ValueError, RecursionError):
            continue
    return RequestContent()


def read_members(body: str) -> dict[str, Any]:
    """The members of a request's body; none where it is no JSON object."""
    try:
        return _dict(decode_json(body.encode(errors="replace")))
    except (ValueError, RecursionError):
        return {}


def _on_one_line(text: msgspec.Raw) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.format(bytes(text), indent=-1))
