"""Reranking, as Cohere's models in Foundry do it: billed by search units, told beside the answer.

``{"results": […], "meta": {"billed_units": {"search_units": 1}}}``. https://docs.cohere.com/reference/rerank
"""

from typing import Any

import msgspec

from ..records import Quantity, exact_amount
from ..wire import Path
from .digest import FACTS, readers
from .structs import ApiAnswer
from .surface import Surface

__all__ = ["SURFACE"]

_FACTS: dict[Path, int] = {**FACTS, ("meta", "billed_units"): FACTS[("usage",)]}


class _Body(msgspec.Struct, gc=False):
    id: Any = None
    model: Any = None
    meta: Any = None
    error: Any = None
    status_code: Any = msgspec.field(default=None, name="statusCode")


def _answer(body: _Body) -> ApiAnswer:
    billed = body.meta.get("billed_units") if isinstance(body.meta, dict) else None
    return ApiAnswer(
        id=body.id if isinstance(body.id, str) else None,
        model=body.model if isinstance(body.model, str) else None,
        usage=billed if isinstance(billed, dict) else None,
        error=body.error,
        status_code=body.status_code,
    )


def _quantities(usage: dict[str, Any]) -> dict[str, Quantity]:
    units = exact_amount(usage.get("search_units"))
    return {"search_units": Quantity(units)} if units else {}


_READ, _ANSWER_OF = readers(_Body, _answer, _FACTS)

SURFACE = Surface(
    name="rerank",
    title="Reranking (Cohere)",
    operation="rerank",
    paths=("rerank",),
    has_deployment_path=False,
    prompt="query",
    read_answer=_READ,
    answer_of=_ANSWER_OF,
    facts=_FACTS,
    usage="input_tokens",
    quantities_of=_quantities,
    units=("search units",),
    otel_operation="rerank",
)
