"""Jobs that take a while: fine-tuning, videos, and vector stores, which are kept.

`Script.polls` GETs see a job at work; the one after these, which is the one that the ledger charges, sees it done.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from ..failures import Refused
from ..forms import form_of
from ..headers import response_headers
from ..said import Answer
from ..script import Script
from ..surface import AnswerContext, Reply, SimulatedCall, SimulatedRoute, SimulatedSurface

__all__ = ["FINE_TUNING", "VECTOR_STORES", "VIDEOS"]

# Tokens that a training file is counted as: nobody here trains.
_TRAINED_TOKENS = 1_000
_STORED_BYTES = 4_096


class _Job(msgspec.Struct):
    told: dict[str, Any]
    done: dict[str, Any]
    """What is told besides, once it is done."""
    said: Answer
    script: Script
    polled: int = 0


def _told(call: SimulatedCall, script: Script, moment: AnswerContext, told: Any, said: Answer | None = None) -> Reply:
    headers = response_headers(call, script, moment)
    return Reply(headers=headers, body=msgspec.json.encode(told), answer=said, usage=said is not None)


def _fine_tune(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    model = str(call.body["model"])
    told = {
        "id": moment.name("ftjob").replace("_", "-"),
        "object": "fine_tuning.job",
        "status": "queued",
        "model": model,
        "created_at": moment.created,
        "training_file": call.body["training_file"],
        "validation_file": None,
        "hyperparameters": {"n_epochs": 1},
        "organization_id": "org-simulated",
        "result_files": [],
        "seed": 1,
        "error": None,
        "fine_tuned_model": None,
        "finished_at": None,
        "trained_tokens": None,
    }
    done = {
        "status": "succeeded",
        "finished_at": moment.created,
        "fine_tuned_model": f"{model}.ft-1",
        "trained_tokens": _TRAINED_TOKENS,
    }
    said = Answer(model=model, quantities={"trained_tokens": _TRAINED_TOKENS})
    return _begin("fine_tuning.job", _Job(told, done, said, script), call, script, moment)


def _video(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    asked = _asked(call)
    if "id" in call.parameters:
        before: _Job = moment.store.get("video", call.parameters["id"])
        asked = before.told | asked
    model, seconds = str(asked.get("model") or "sora-2"), str(asked.get("seconds") or "4")
    told = {
        "id": moment.name("video"),
        "object": "video",
        "status": "queued",
        "model": model,
        "created_at": moment.created,
        "progress": 0,
        "seconds": seconds,
        "size": str(asked.get("size") or "720x1280"),
        "error": None,
        "completed_at": None,
        "expires_at": None,
    }
    done = {"status": "completed", "progress": 100, "completed_at": moment.created}
    said = Answer(model=model, quantities={"output_video_seconds": Decimal(seconds)})
    return _begin("video", _Job(told, done, said, script), call, script, moment)


def _asked(call: SimulatedCall) -> dict[str, Any]:
    """The SDK sends a form or JSON. Raises ``Refused`` where it is neither."""
    kind = call.request.headers.get("content-type", "")
    try:
        if kind.startswith("multipart/form-data"):
            return form_of(kind, call.request.body)
        return msgspec.json.decode(call.request.body or b"{}", type=dict[str, Any])
    except (ValueError, msgspec.DecodeError) as error:
        raise Refused.bad_request(f"We could not parse the body of your request: {error}") from error


def _begin(kind: str, job: _Job, call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    moment.store.put(kind, job.told["id"], job)
    return _told(call, script, moment, job.told)


def _retriever(kind: str, at_work: str) -> Callable[[SimulatedCall, Script, AnswerContext], Reply]:
    def retrieve(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
        job: _Job = moment.store.get(kind, call.parameters["id"])
        said = None
        if job.told["status"] in ("queued", at_work):
            job.polled += 1
            job.told["status"] = at_work
            if job.polled > job.script.polls:
                job.told |= job.done
                said = job.said
        return _told(call, script, moment, job.told, said)

    return retrieve


def _cancel(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    job: _Job = moment.store.get("fine_tuning.job", call.parameters["id"])
    if job.told["status"] != "succeeded":
        job.told["status"] = "cancelled"
    return _told(call, script, moment, job.told)


def _remover(kind: str) -> Callable[[SimulatedCall, Script, AnswerContext], Reply]:
    def remove(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
        id = call.parameters["id"]
        moment.store.remove(kind, id)
        return _told(call, script, moment, {"id": id, "object": f"{kind}.deleted", "deleted": True})

    return remove


def _video_content(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    moment.store.get("video", call.parameters["id"])
    headers = response_headers(call, script, moment)
    headers[0] = ("content-type", "video/mp4")
    return Reply(headers=headers, body=b"\0\0\0\x18ftypmp42" * 100)


def _store(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    id = moment.name("vs")
    told = {
        "id": id,
        "object": "vector_store",
        "created_at": moment.created,
        "last_active_at": moment.created,
        "name": call.body.get("name"),
        "status": "completed",
        "usage_bytes": _STORED_BYTES,
        "file_counts": dict.fromkeys(["in_progress", "completed", "failed", "cancelled", "total"], 0),
        "metadata": None,
    }
    moment.store.put("vector_store", id, told)
    return _told(call, script, moment, told)


def _stored(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    return _told(call, script, moment, moment.store.get("vector_store", call.parameters["id"]))


FINE_TUNING = SimulatedSurface(
    api="other",
    title="Fine-tuning jobs, which train nothing",
    routes=(
        SimulatedRoute(path="fine_tuning/jobs", answer=_fine_tune, needs=("training_file",)),
        SimulatedRoute(
            path="fine_tuning/jobs/{id}",
            method="GET",
            answer=_retriever("fine_tuning.job", "running"),
            body="any",
        ),
        SimulatedRoute(path="fine_tuning/jobs/{id}/cancel", answer=_cancel, body="any"),
    ),
)

VIDEOS = SimulatedSurface(
    api="other",
    title="Video jobs, without a picture",
    routes=(
        SimulatedRoute(path="videos", answer=_video, body="any"),
        SimulatedRoute(path="videos/{id}", method="GET", answer=_retriever("video", "in_progress"), body="any"),
        SimulatedRoute(path="videos/{id}", method="DELETE", answer=_remover("video"), body="any"),
        SimulatedRoute(path="videos/{id}/content", method="GET", answer=_video_content, body="any"),
        SimulatedRoute(path="videos/{id}/remix", answer=_video, body="any"),
    ),
)

VECTOR_STORES = SimulatedSurface(
    api="other",
    title="Vector stores of a fixed size",
    routes=(
        SimulatedRoute(path="vector_stores", answer=_store, needs_model=False),
        SimulatedRoute(path="vector_stores/{id}", method="GET", answer=_stored, body="any"),
        SimulatedRoute(path="vector_stores/{id}", method="DELETE", answer=_remover("vector_store"), body="any"),
    ),
)
