"""A record has all that was read of a call, be it what few calls have."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from support.asked import asked
from tokenweir.gateway.request import Ending
from tokenweir.gateway.settle import Timings, record_of
from tokenweir.metering import NO_READING
from tokenweir.records import CallRecord, Usage, usage_fields

COMMON = CallRecord(call_id="", started_at=datetime(2026, 1, 1, tzinfo=UTC))
COUNTS = [name for name in Usage.__struct_fields__ if name.endswith("_tokens")]


def record(usage: Usage, **reading: Any) -> CallRecord:
    told = msgspec.structs.replace(NO_READING, **reading)
    return record_of(
        COMMON,
        asked("POST /v1/files", body=b"{}"),
        None,
        None,
        Ending("completed", 200, None, told),
        usage,
        Timings(0.0),
        seq=1,
        attempts=1,
        bytes_in=2,
        bytes_out=3,
        keeps_content=False,
        trace=None,
    )


@pytest.mark.parametrize("name", COUNTS)
def test_each_count_is_in_the_record(name: str) -> None:
    usage = msgspec.structs.replace(Usage("reported"), **{name: 7})
    made = record(usage)
    assert {field: getattr(made, field) for field in usage_fields(usage)} == usage_fields(usage)


def test_why_a_usage_was_not_reported_is_in_the_record() -> None:
    assert record(Usage("estimated", reason="cut")).usage_reason == "cut"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("service_tier", "flex"),
        ("tool_usage", {"web_search": 1}),
        ("tool_calls", {"web_search_call": 2}),
        ("job_id", "b-1"),
        ("session_id", "s-1"),
    ],
)
def test_what_few_answers_tell_is_in_the_record(name: str, value: object) -> None:
    assert getattr(record(Usage(), **{name: value}), name) == value
