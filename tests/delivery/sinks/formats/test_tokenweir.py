"""The whole record, out and back."""

import json

import msgspec
from hypothesis import given

from support.call_records import a_call, any_record
from tokenweir.delivery.sinks.formats import SHAPES
from tokenweir.records import CallRecord, FlatRecord, from_flat


@given(any_record())
def test_a_reader_gets_the_very_record(record: CallRecord) -> None:
    event = msgspec.json.encode(SHAPES["tokenweir"](record))
    assert from_flat(msgspec.json.decode(event, type=FlatRecord)) == record


def test_names_are_the_records_and_defaults_are_left_out() -> None:
    event = json.loads(msgspec.json.encode(SHAPES["tokenweir"](a_call())))

    assert event["started_at"] == "2026-11-22T12:00:00.000250Z"
    assert event["tags"] == {"cost_centre": "4711"}
    assert "spillover_from" not in event
