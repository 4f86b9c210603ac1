"""Files, and batches that read one and write another.

`Script.polls` GETs see a batch in progress, and the one after these, which is the one that the ledger charges, sees it
completed. One that is cancelled has done the first half of its lines, which is charged. With ``usage: "withheld"`` the
batch tells no usage, and its output's lines still do.
"""

import hashlib
from typing import Any

import msgspec

from ..answers import chat_answer
from ..failures import Refused
from ..forms import form_of
from ..headers import response_headers
from ..said import Answer
from ..script import Script
from ..surface import AnswerContext, Reply, SimulatedCall, SimulatedRoute, SimulatedSurface

__all__ = ["BATCHES", "FILES"]


class _File(msgspec.Struct):
    told: dict[str, Any]
    content: bytes


class _Batch(msgspec.Struct):
    """A batch, and what its lines say, until somebody has seen its end."""

    told: dict[str, Any]
    lines: list[tuple[str, Answer]]
    script: Script
    polled: int = 0


def _told(
    call: SimulatedCall, script: Script, moment: AnswerContext, told: dict[str, Any], said: Answer | None = None
) -> Reply:
    body = msgspec.json.encode(told)
    usage = said is not None and bool(told.get("usage"))
    return Reply(headers=response_headers(call, script, moment), body=body, answer=said, usage=usage)


def _upload(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    content_type = call.request.headers.get("content-type", "")
    try:
        form = form_of(content_type, call.request.body)
    except ValueError:
        form = {"file": call.request.body}
    content = form.get("file", b"")
    content = content if isinstance(content, bytes) else str(content).encode()
    told = _file(moment, content, str(form.get("purpose", "batch")))
    told |= {"content_type": content_type, "sha256": hashlib.sha256(call.request.body).hexdigest()}
    return _told(call, script, moment, told)


def _file(moment: AnswerContext, content: bytes, purpose: str, kind: str = "file") -> dict[str, Any]:
    id = moment.name(kind).replace("_", "-")
    told = {
        "id": id,
        "object": "file",
        "bytes": len(content),
        "created_at": moment.created,
        "filename": f"{id}.jsonl",
        "purpose": purpose,
        "status": "processed",
    }
    moment.store.put("file", id, _File(told, content))
    return told


def _files(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    data = [file.told for file in moment.store.all("file")]
    return _told(call, script, moment, {"object": "list", "data": data, "has_more": False})


def _of_file(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    if call.request.method == "DELETE":
        moment.store.remove("file", call.parameters["id"])
        return _told(call, script, moment, {"id": call.parameters["id"], "object": "file", "deleted": True})
    return _told(call, script, moment, moment.store.get("file", call.parameters["id"]).told)


def _content(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    headers = response_headers(call, script, moment)
    headers[0] = ("content-type", "application/octet-stream")
    return Reply(headers=headers, body=moment.store.get("file", call.parameters["id"]).content)


def _create(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    source: _File = moment.store.get("file", str(call.body["input_file_id"]))
    lines = [_line(line, script) for line in source.content.splitlines() if line.strip()]
    told = {
        "id": moment.name("batch"),
        "object": "batch",
        "endpoint": call.body["endpoint"],
        "input_file_id": call.body["input_file_id"],
        "completion_window": call.body.get("completion_window", "24h"),
        "status": "validating",
        "created_at": moment.created,
        "metadata": call.body.get("metadata"),
        "output_file_id": None,
        "error_file_id": None,
        "errors": None,
        "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
    }
    moment.store.put("batch", told["id"], _Batch(told, lines, script))
    return _told(call, script, moment, told)


def _line(line: bytes, script: Script) -> tuple[str, Answer]:
    """Its id and its answer. Raises ``Refused``."""
    try:
        asked = msgspec.json.decode(line)
        return str(asked["custom_id"]), chat_answer(asked["body"], asked["body"]["model"], script)
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise Refused.bad_request(f"A line of the input cannot be read: {error}", "input_file_id") from error


def _retrieve(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    batch: _Batch = moment.store.get("batch", call.parameters["id"])
    said = None
    if batch.told["status"] in ("validating", "in_progress"):
        batch.polled += 1
        batch.told["status"] = "in_progress"
        if batch.polled > batch.script.polls:
            said = _end(batch, moment, "completed", batch.lines)
    return _told(call, script, moment, batch.told, said)


def _cancel(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    batch: _Batch = moment.store.get("batch", call.parameters["id"])
    said = None
    if batch.told["status"] in ("validating", "in_progress"):
        said = _end(batch, moment, "cancelled", batch.lines[: len(batch.lines) // 2])
    return _told(call, script, moment, batch.told, said)


def _end(batch: _Batch, moment: AnswerContext, status: str, done: list[tuple[str, Answer]]) -> Answer | None:
    """What the ledger charges."""
    told = batch.told
    told |= {"status": status, f"{status}_at": moment.created}
    told["request_counts"] |= {"completed": len(done)}
    if not done:
        return None
    output = b"".join(msgspec.json.encode(_output(id, said, moment)) + b"\n" for id, said in done)
    told["output_file_id"] = _file(moment, output, "batch_output", "output")["id"]
    answers = [said for _, said in done]
    sums = {
        name: sum(getattr(said, name) for said in answers)
        for name in ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
    }
    total = Answer(model=answers[0].model, service_tier="batch", **sums)
    if batch.script.usage == "auto":
        told |= {"model": total.model, "usage": _usage(total)}
    return total


def _usage(said: Answer) -> dict[str, Any]:
    return {
        "input_tokens": said.prompt_tokens,
        "input_tokens_details": {"cached_tokens": said.cached_tokens},
        "output_tokens": said.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
        "total_tokens": said.prompt_tokens + said.completion_tokens,
    }


def _output(id: str, said: Answer, moment: AnswerContext) -> dict[str, Any]:
    choices = [
        {
            "index": choice.index,
            "message": {"role": "assistant", "content": choice.text},
            "finish_reason": choice.finish_reason,
        }
        for choice in said.choices
    ]
    body = {"object": "chat.completion", "model": said.model, "choices": choices, "usage": said.usage()}
    return {"id": f"batch_req_{id}", "custom_id": id, "response": {"status_code": 200, "body": body}, "error": None}


def _batches(call: SimulatedCall, script: Script, moment: AnswerContext) -> Reply:
    data = [batch.told for batch in moment.store.all("batch")]
    return _told(call, script, moment, {"object": "list", "data": data, "has_more": False})


FILES = SimulatedSurface(
    api="other",
    title="Files, kept in memory",
    routes=(
        SimulatedRoute(path="files", answer=_upload, body="any"),
        SimulatedRoute(path="files", method="GET", answer=_files, body="any"),
        SimulatedRoute(path="files/{id}", method="GET", answer=_of_file, body="any"),
        SimulatedRoute(path="files/{id}", method="DELETE", answer=_of_file, body="any"),
        SimulatedRoute(path="files/{id}/content", method="GET", answer=_content, body="any"),
    ),
)

BATCHES = SimulatedSurface(
    api="other",
    title="Batches of chats, with their output files",
    routes=(
        SimulatedRoute(path="batches", answer=_create, needs_model=False, needs=("input_file_id", "endpoint")),
        SimulatedRoute(path="batches", method="GET", answer=_batches, body="any"),
        SimulatedRoute(path="batches/{id}", method="GET", answer=_retrieve, body="any"),
        SimulatedRoute(path="batches/{id}/cancel", answer=_cancel, body="any"),
    ),
)
