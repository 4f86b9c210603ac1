"""What a model wrote in an answer, choice by choice, put together from what came."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ..apis import AnswerChoice, AnswerMessage, CustomCall, FunctionCall

__all__ = ["Output", "WrittenChoice", "join"]

# Joined strings may be so many before they are joined again: joining all each time would copy a long text a thousand
# times.
_MOST_JOINED = 32
_LONG = 64


class WrittenCall:
    """One tool call as the model wrote it."""

    __slots__ = ("arguments", "name")

    def __init__(self, name: str = "", arguments: str = "") -> None:
        self.name: list[str] = [name] if name else []
        self.arguments: list[str] = [arguments] if arguments else []

    def add(self, called: FunctionCall | CustomCall) -> None:
        if called.name:
            self.name.append(called.name)
        written = called.input if isinstance(called, CustomCall) else called.arguments
        if isinstance(written, dict):
            written = msgspec.json.encode(written).decode()
        if written:
            self.arguments.append(written)


class WrittenChoice:
    """What the model wrote for one choice: visible text in order, and tool calls by index."""

    __slots__ = ("_calls", "_text")

    def __init__(self, text: str = "", calls: Sequence[tuple[str, str]] = ()) -> None:
        self._text: list[str] = [text] if text else []
        self._calls: dict[int, WrittenCall] = {index: WrittenCall(*call) for index, call in enumerate(calls)}

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Name and arguments of each call."""
        return [("".join(tool.name), "".join(tool.arguments)) for tool in self._calls.values()]

    def add(self, choice: AnswerChoice) -> None:
        if choice.text:
            self._text.append(choice.text)
        message = choice.delta or choice.message
        if message is not None:
            self._add_message(message)

    def place_of(self, tool: int | None) -> list[str]:
        """Where pieces of its text go, or of the arguments of a tool. It stays the same list."""
        return self._text if tool is None else self._tool(tool).arguments

    def letters(self) -> int:
        """How many were written."""
        count = 0
        for piece in self._text:
            count += len(piece)
        for tool in self._calls.values():
            for piece in tool.arguments:
                count += len(piece)
        return count

    def shrink(self) -> None:
        """Join the small strings of many frames into one."""
        join(self._text)
        for tool in self._calls.values():
            join(tool.arguments)

    def _add_message(self, message: AnswerMessage) -> None:
        content = message.content
        if content:
            self._text.append(content if isinstance(content, str) else _text_of(content))
        # the same under its older and its newer name, or in parts
        thought = message.reasoning_content or message.reasoning or message.reasoning_details
        if thought:
            self._text.append(thought if isinstance(thought, str) else _text_of(thought))
        if message.audio is not None:
            self._text.append(_transcript(message.audio))
        if message.refusal:
            self._text.append(message.refusal)
        if message.function_call is not None:
            self._tool(0).add(message.function_call)
        for position, call in enumerate(message.tool_calls or ()):
            called = call.function or call.custom
            if called is not None:
                self._tool(position if call.index is None else call.index).add(called)

    def _tool(self, index: int) -> WrittenCall:
        tool = self._calls.get(index)
        if tool is None:
            tool = self._calls[index] = WrittenCall()
        return tool


class Output:
    """What the model wrote."""

    def __init__(self, written: dict[int, WrittenChoice] | None = None) -> None:
        self._written = written if written is not None else {}

    def choices(self) -> list[WrittenChoice]:
        """One for each choice, by index. May have to be put together first: not for the event loop."""
        return [written for _, written in sorted(self._written.items())]

    def letters(self) -> int:
        """How many were written, in all choices."""
        count = 0
        for written in self._written.values():
            count += written.letters()
        return count


def join(pieces: list[str]) -> None:
    """Makes one string of those that came since the last time."""
    long = 0
    while long < len(pieces) and long < _MOST_JOINED and len(pieces[long]) >= _LONG:
        long += 1
    if long == _MOST_JOINED:
        long = 0
    if len(pieces) - long > 1:
        pieces[long:] = ["".join(pieces[long:])]


def _transcript(audio: Any) -> str:
    found = audio.get("transcript") if isinstance(audio, dict) else None
    return found if isinstance(found, str) else ""


def _text_of(parts: Any) -> str:
    """The text of a content that is a list of parts, as some partner models send it; empty where it is none."""
    found = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    texts = (part.get("text") or part.get("summary") for part in found)
    return "".join(text for text in texts if isinstance(text, str))
