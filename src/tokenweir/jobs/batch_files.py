"""What a batch's files say, read as they pass: a line is held, a file never is."""

from collections.abc import Iterator
from typing import Any

import msgspec

__all__ = ["FirstLine", "OutputLines"]

_LONGEST_LINE = 16 * 1024 * 1024


class _Body(msgspec.Struct, gc=False):
    model: Any = None
    usage: Any = None


class _Response(msgspec.Struct, gc=False):
    body: _Body | None = None


class _Line(msgspec.Struct, gc=False):
    """Of the input (``body``) or of the output (``response``)."""

    body: Any = None
    response: _Response | None = None


_decode = msgspec.json.Decoder(_Line).decode


class OutputLines:
    """The sum of the usages of an output file's lines."""

    def __init__(self) -> None:
        self._rest = b""
        self._usage: dict[str, Any] = {}
        self.model: str | None = None

    def feed(self, piece: bytes) -> None:
        """Raises ``ValueError`` where this is no such file: a sum of what can be read would be too small."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            raise ValueError("a line of the batch's output is longer than 16 MB")
        for line in lines:
            self._add(line)

    def finish(self) -> dict[str, Any] | None:
        """None where no line tells any usage. Raises as ``feed`` does."""
        self._add(self._rest)
        return self._usage or None

    def _add(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            response = _decode(line).response
        except msgspec.DecodeError as error:
            raise ValueError("a line of the batch's output cannot be read") from error
        body = response.body if response is not None else None
        if body is None:
            return
        if isinstance(body.model, str):
            self.model = body.model
        if isinstance(body.usage, dict):
            self._usage = _sum(self._usage, body.usage)


class FirstLine:
    """The deployment that the first line of an input file names."""

    def __init__(self) -> None:
        self._held = b""
        self._is_done = False

    def is_enough(self) -> bool:
        return self._is_done

    def feed(self, piece: bytes) -> None:
        self._held += piece
        self._is_done = b"\n" in piece or len(self._held) > _LONGEST_LINE

    @property
    def model(self) -> str | None:
        """None where there is no such line, or none that names it."""
        try:
            body = _decode(self._held.partition(b"\n")[0]).body
        except msgspec.DecodeError:
            return None
        model = body.get("model") if isinstance(body, dict) else None
        return model if isinstance(model, str) and len(model) <= 256 else None


def _sum(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return dict(_summed(one, other))


def _summed(one: dict[str, Any], other: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Numbers are added, objects likewise; of what is neither, nothing is kept."""
    for name in {**one, **other}:
        left, right = one.get(name), other.get(name)
        if isinstance(left, dict) or isinstance(right, dict):
            yield name, _sum(left if isinstance(left, dict) else {}, right if isinstance(right, dict) else {})
        elif numbers := [number for number in (left, right) if type(number) in (int, float)]:
            yield name, sum(numbers)
