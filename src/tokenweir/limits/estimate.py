"""What a call may use at most, told from its request before anything is counted: cheap, and rather too much.

Text has no more tokens than bytes, and two bytes or more for each in nearly every language. A picture inside a body is
no text, and counts for itself.
"""

from .models import capacity_of

__all__ = ["Estimate", "estimate_of"]

_PICTURE = b";base64,"
# What a picture of a usual size comes to; API Management reserves 1,200.
_PICTURE_TOKENS = 1_600
# As the APIs have it.
_MOST_ANSWERS = 128


class Estimate:
    """Tokens, at most."""

    def __init__(self, prompt: int, output: int) -> None:
        self.prompt = prompt
        self.output = output


def estimate_of(
    kind: str | None,
    model: str,
    body: bytes,
    size: int,
    max_output: int,
    answers: int,
    *,
    bytes_per_token: int,
    assumed_output: int,
) -> Estimate:
    """``kind`` is the surface's way to estimate, ``None`` where tokens are not counted; ``size`` is the body's.
    ``max_output`` is what the request asks for at most, 0 or less where it says nothing that makes sense."""
    if kind is None:
        return Estimate(0, 0)
    pictures = 0
    if size > 8192 and _PICTURE in body:
        pictures, packed = _pictures(body)
        size -= packed
    prompt = size // bytes_per_token + 1 + pictures * _PICTURE_TOKENS
    if kind == "input":
        return Estimate(prompt, 0)
    capacity = capacity_of(model)
    output = min(max_output if max_output > 0 else assumed_output, capacity.output)
    if answers > 1:
        output *= min(answers, _MOST_ANSWERS)
    return Estimate(min(prompt, capacity.context), output)


def _pictures(body: bytes) -> tuple[int, int]:
    """How many there are inside the body, and of how many bytes."""
    count = size = 0
    start = body.find(_PICTURE)
    while start >= 0:
        end = body.find(b'"', start)
        if end < 0:
            end = len(body)
        count += 1
        size += end - start
        start = body.find(_PICTURE, end)
    return count, size
