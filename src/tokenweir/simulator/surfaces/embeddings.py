"""Embeddings: unit vectors that follow from the input alone, as numbers or as base64 of float32."""

import base64
import hashlib
import math
from array import array
from functools import lru_cache
from typing import Any

import msgspec

from ... import vocabulary
from ..counting import input_tokens
from ..failures import Refused
from ..headers import response_headers
from ..models import full_model_name
from ..said import Answer
from ..script import Script
from ..surface import AnswerContext, Reply, SimulatedCall, SimulatedRoute, SimulatedSurface

__all__ = ["EMBEDDINGS"]

_SIZES = {"text-embedding-3-large": 3072}
_USUAL_SIZE = 1536


def _answer(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    model = script.model or full_model_name(call.deployment, "text-embedding-3-small")
    prompt = input_tokens(call.body.get("input"), vocabulary.encoding_name(model))
    said = Answer(model=model, prompt_tokens=prompt)
    usage = script.usage == "auto"
    return Reply(
        headers=response_headers(call, script, moment, said),
        body=msgspec.json.encode(_embeddings(call.body, said, usage=usage)),
        answer=said,
        usage=usage,
    )


def _embeddings(body: dict[str, Any], answer: Answer, *, usage: bool) -> dict[str, Any]:
    """The body of the answer. Raises Refused (400) where there is no such size."""
    given = body["input"]
    inputs = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    largest = _SIZES.get(answer.model, _USUAL_SIZE)
    size = body.get("dimensions") or largest
    if not isinstance(size, int) or not 0 < size <= largest:
        raise Refused.bad_request(f"'dimensions' must be from 1 to {largest}.", "dimensions")
    as_base64 = body.get("encoding_format") == "base64"
    made: dict[str, Any] = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _embedding(item, size, as_base64)}
            for index, item in enumerate(inputs)
        ],
        "model": answer.model,
    }
    if usage:
        made["usage"] = {"prompt_tokens": answer.prompt_tokens, "total_tokens": answer.prompt_tokens}
    return made


def _embedding(item: Any, size: int, as_base64: bool) -> list[float] | str:
    vector = _vector(msgspec.json.encode(item), size)
    return base64.b64encode(vector.tobytes()).decode() if as_base64 else vector.tolist()


@lru_cache(maxsize=256)
def _vector(item: bytes, size: int) -> "array[float]":
    """The first ``size`` members of the item's vector, brought to length 1 as the API does."""
    raw = array("h", hashlib.shake_128(item).digest(2 * size))
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return array("f", [value / length for value in raw])


EMBEDDINGS = SimulatedSurface(
    api="embeddings",
    title="Embeddings",
    azure_operation="Embeddings_Create",
    routes=(SimulatedRoute(path="embeddings", answer=_answer, needs=("input",)),),
)
