"""The parts of an answer's body in the order of their writing, and the faults that cut them short."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from .script import Fault, Script

__all__ = ["ReplyPiece", "events", "until_fault"]

T = TypeVar("T")


class ReplyPiece(msgspec.Struct, gc=False):
    """Bytes to send. ``visible`` is how many tokens of output are in them."""

    data: bytes
    visible: int = 0
    usage: bool = False
    delay: float | None = None
    """Seconds to wait first; None goes out together with what came before."""


def until_fault(
    output: Iterator[tuple[T, ReplyPiece]], fault: tuple[Fault, int] | None
) -> Iterator[tuple[T, ReplyPiece]]:
    """As many pieces as come before the fault, which counts those with output of the model."""
    left = fault[1] if fault else None
    for told, piece in output:
        if left is not None and piece.visible:
            if left == 0:
                return
            left -= 1
        yield told, piece


def events(
    told: Iterable[tuple[dict[str, Any], ReplyPiece]], script: Script, *, named: bool = True
) -> Iterator[ReplyPiece]:
    """Objects as server-sent events; ``named`` puts each one's ``type`` on a line of its own."""
    newline = b"\r\n" if script.crlf else b"\n"
    for event, piece in told:
        lines = [b": simulated", b""] if script.comments else []
        if named:
            lines.append(b"event: " + str(event["type"]).encode())
        piece.data = newline.join((*lines, b"data: " + msgspec.json.encode(event), b"", b""))
        yield piece
