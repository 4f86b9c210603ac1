"""Jobs: what a call starts and what is billed after that call has ended, each kind described once.

What an answer says of a job is read wherever it passes: in the answer that made it, in one that was asked for later, in
a stream that is resumed. Source: openai-python's types of 2026-08.
"""

import re
from typing import Any, Final

from .structs import JobKind

__all__ = ["JOBS", "JOB_KINDS", "JOB_MEMBERS", "has_ended", "job_of", "kind_at", "kind_of"]

JOB_KINDS: Final = (
    JobKind(
        "response",
        "responses",
        ("response",),
        frozenset(["completed", "failed", "incomplete", "cancelled"]),
        surface="responses",
        id_prefix="resp_",
    ),
    JobKind("batch", "batches", ("batch",), frozenset(["completed", "failed", "expired", "cancelled"])),
    JobKind("fine_tuning", "fine_tuning/jobs", ("fine_tuning.job",), frozenset(["succeeded", "failed", "cancelled"])),
    JobKind("video", "videos", ("video",), frozenset(["completed", "failed"])),
    JobKind(
        "video_generation",
        "video/generations/jobs",
        ("video.generation.job",),
        frozenset(["succeeded", "failed", "cancelled"]),
    ),
    JobKind("vector_store", "vector_stores", ("vector_store",), frozenset(["expired"]), is_metered_daily=True),
)

JOBS: Final = re.compile(f"(?:{'|'.join(f'{kind.path}(?=/{kind.id_prefix})' for kind in JOB_KINDS)})/([^/]+)(?:/.*)?")
"""Paths about a job, whose id is the group."""

JOB_MEMBERS: Final = (
    *("id", "object", "status", "model", "background", "service_tier", "usage", "tool_usage"),
    *("created_at", "completed_at", "finished_at", "failed_at", "cancelled_at", "expired_at"),
    *("endpoint", "input_file_id", "output_file_id", "error_file_id", "request_counts", "trained_tokens"),
    *("seconds", "size", "n_seconds", "n_variants", "width", "height", "usage_bytes"),
)
"""What is kept of such an answer. None of it is a prompt or a piece of an answer."""
_COUNTED = ("tool_calls", "counted")
"""What is counted in a response, by us."""

_BY_OBJECT = {name: kind for kind in JOB_KINDS for name in kind.objects}


def kind_at(tail: str) -> JobKind:
    """By a path about one, which `JOBS` has matched."""
    return next(kind for kind in JOB_KINDS if tail.startswith(f"{kind.path}/"))


def kind_of(job: dict[str, Any]) -> JobKind | None:
    """By its ``object``."""
    name = job.get("object")
    return _BY_OBJECT.get(name) if isinstance(name, str) else None


def job_of(answer: dict[str, Any]) -> dict[str, Any] | None:
    """What an answer says of a job; None where it is about none. A response is one if it runs in the background."""
    kind = kind_of(answer)
    if kind is None or not isinstance(answer.get("id"), str):
        return None
    if kind.name == "response" and answer.get("background") is not True:
        return None
    return {name: answer[name] for name in (*JOB_MEMBERS, *_COUNTED) if answer.get(name) is not None}


def has_ended(job: dict[str, Any]) -> bool:
    """Whether nothing more will be used by it. A response that tells its usage has ended, whatever its status."""
    kind, status = kind_of(job), job.get("status")
    if kind is None:
        return False
    return (isinstance(status, str) and status in kind.ended) or (kind.name == "response" and bool(job.get("usage")))
