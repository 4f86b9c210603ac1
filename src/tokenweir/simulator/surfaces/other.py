"""The list of models, and whatever the simulator knows nothing about: that is answered with what arrived."""

import hashlib
from typing import Any

import msgspec

from ..headers import response_headers
from ..script import Script
from ..surface import AnswerContext, Reply, SimulatedCall, SimulatedRoute, SimulatedSurface

__all__ = ["MODELS", "OTHER"]

_NAMES = ("gpt-4o-2024-11-20", "gpt-4o-mini-2024-07-18", "gpt-5-2025-08-07", "text-embedding-3-small")


def _models(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    data = [{"id": name, "object": "model", "created": 1_732_000_000, "owned_by": "system"} for name in _NAMES]
    return _told(call, script, moment, {"object": "list", "data": data})


def _echo(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    """What arrived, in few words."""
    digest = hashlib.sha256(call.request.body).hexdigest()
    echo = {
        "id": f"simulated-{digest[:24]}",
        "object": "simulated",
        "created_at": moment.created,
        "method": call.request.method,
        "path": call.request.path,
        "content_type": call.request.headers.get("content-type"),
        "bytes": len(call.request.body),
        "sha256": digest,
    }
    return _told(call, script, moment, echo)


def _told(call: SimulatedCall, script: Script, moment: AnswerContext, body: dict[str, Any]) -> Reply:
    return Reply(headers=response_headers(call, script, moment), body=msgspec.json.encode(body))


MODELS = SimulatedSurface(
    api="models",
    title="The list of models",
    routes=(SimulatedRoute(path="models", method="GET", answer=_models, body="any"),),
)

OTHER = SimulatedSurface(
    api="other",
    title="Anything else: what arrived, in few words",
    routes=(SimulatedRoute(path="{operation}", answer=_echo, body="any"),),
)
