"""Pictures, made and edited: a dot of a PNG each, told in tokens as GPT image models do.

Models whose name begins with ``dall-e`` tell nothing and do not stream. A picture is 1,056 tokens of output, one that
was given 300 of input.
"""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from ... import vocabulary
from ..failures import Refused
from ..headers import response_headers
from ..pieces import ReplyPiece, events
from ..said import Answer
from ..script import Script
from ..surface import AnswerContext, Reply, SimulatedCall, SimulatedRoute, SimulatedSurface

__all__ = ["EDITS", "GENERATIONS"]

_PICTURE = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU"
    b"\0\0\0\nIDATx\x9cc`\0\0\0\x02\0\x01H\xaf\xa4q\0\0\0\0IEND\xaeB`\x82"
).decode()
_TOKENS_OF_A_PICTURE = 1056
_TOKENS_OF_A_GIVEN_ONE = 300
_MOST = 10


def _answer(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    number = _number(call.body.get("n"))
    is_told = _tells_tokens(call)
    given = _TOKENS_OF_A_GIVEN_ONE if call.operation.endswith("images/edits") else 0
    model = script.model or call.deployment or "gpt-image-1"
    prompt = vocabulary.count(str(call.body["prompt"]), vocabulary.encoding_name(model)) + given
    said = Answer(
        model=model,
        prompt_tokens=prompt if is_told else 0,
        completion_tokens=_TOKENS_OF_A_PICTURE * number if is_told else 0,
        quantities={"images": number},
    )
    usage = script.usage == "auto" and is_told
    made = Reply(headers=response_headers(call, script, moment, said), answer=said, usage=usage)
    told = {"usage": _usage(said, given)} if usage else {}
    if call.stream and is_told:
        made.pieces = events(_told(call, number, told), script)
    else:
        pictures = [{"b64_json": _PICTURE}] * number
        made.body = msgspec.json.encode({"created": moment.created, "data": pictures, **told})
    return made


def _told(call: SimulatedCall, number: int, told: dict[str, Any]) -> Iterator[tuple[dict[str, Any], ReplyPiece]]:
    kind = "image_edit" if call.operation.endswith("images/edits") else "image_generation"
    for index in range(_number(call.body.get("partial_images") or 0)):
        partial = {"type": f"{kind}.partial_image", "b64_json": _PICTURE, "partial_image_index": index}
        yield partial, ReplyPiece(b"", visible=1)
    for left in reversed(range(number)):
        whole = {"type": f"{kind}.completed", "b64_json": _PICTURE, **({} if left else told)}
        yield whole, ReplyPiece(b"", visible=1, usage=not left and bool(told))


def _usage(said: Answer, given: int) -> dict[str, Any]:
    return {
        "input_tokens": said.prompt_tokens,
        "input_tokens_details": {"text_tokens": said.prompt_tokens - given, "image_tokens": given},
        "output_tokens": said.completion_tokens,
        "total_tokens": said.prompt_tokens + said.completion_tokens,
    }


def _number(told: Any) -> int:
    """Raises ``Refused`` where it is none."""
    try:
        number = 1 if told is None else int(told)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number <= _MOST:
        raise Refused.bad_request(f"'n' must be from 1 to {_MOST}.", "n")
    return number


def _tells_tokens(call: SimulatedCall) -> bool:
    return not (call.deployment or "").startswith("dall-e")


GENERATIONS = SimulatedSurface(
    api="images_generations",
    title="Pictures of a text, in tokens, also streamed",
    routes=(
        SimulatedRoute(path="images/generations", answer=_answer, needs=("prompt",), needs_model=False, streams=True),
        SimulatedRoute(path="/mai/v1/images/generations", answer=_answer, needs=("prompt",)),
        SimulatedRoute(
            path="/providers/blackforestlabs/v1/{model}", answer=_answer, needs=("prompt",), needs_model=False
        ),
    ),
)

EDITS = SimulatedSurface(
    api="images_edits",
    title="Edited pictures: forms or JSON, also streamed",
    routes=(
        SimulatedRoute(
            path="images/edits", answer=_answer, body="form", needs=("prompt",), needs_model=False, streams=True
        ),
        SimulatedRoute(path="/mai/v1/images/edits", answer=_answer, body="form", needs=("prompt",)),
    ),
)
