"""A record as one flat object, and back."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given

from support.call_records import a_call, any_record
from tokenweir.records import COLUMNS, CallRecord, FlatRecord, Usage, flat, flat_fields, from_fields, from_flat

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(any_record())
def test_a_record_comes_back_from_its_flat_form(record: CallRecord) -> None:
    assert from_flat(flat(record)) == from_fields(**flat_fields(record)) == record


def test_usage_stands_beside_the_other_columns() -> None:
    usage = Usage("estimated", "cut", input_tokens=3, raw={"prompt_tokens": 3})
    fields = msgspec.to_builtins(flat(CallRecord("c", NOW, usage=usage)))
    assert fields == {
        "call_id": "c",
        "started_at": "2026-01-01T00:00:00Z",
        "usage_source": "estimated",
        "usage_reason": "cut",
        "input_tokens": 3,
        "usage": {"prompt_tokens": 3},
    }


def test_columns_are_the_records_fields_and_the_usages_each_once() -> None:
    names = [column.name for column in COLUMNS]
    assert len(set(names)) == len(names) == len(CallRecord.__struct_fields__) - 1 + len(Usage.__struct_fields__)
    assert tuple(names) == FlatRecord.__struct_fields__
    assert [column.name for column in COLUMNS if column.is_required] == ["call_id", "started_at"]


def test_a_name_that_is_no_column_is_refused() -> None:
    with pytest.raises(TypeError, match="invented"):
        from_fields(call_id="c", started_at=NOW, invented=1)


def test_defaults_are_not_shared_by_records() -> None:
    assert from_fields(call_id="a", started_at=NOW).tags is not a_call(tags={}).tags
