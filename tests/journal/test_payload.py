"""A record survives being written, whatever an upstream or a client has put into it."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import astuple

from support.call_records import any_record
from tokenweir.journal import payload as payload_module
from tokenweir.journal.payload import bare_payload, changed_fields, decode, encode
from tokenweir.records import CallRecord, FlatRecord, Quantity, Trace, Usage, flat, without_contents

MakeRecord = Callable[..., CallRecord]

USAGE = CallRecord.__struct_fields__.index("usage")


@pytest.fixture(autouse=True)
def nothing_changed_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first change is logged always."""
    monkeypatch.setattr(payload_module, "_changed", 0)


def test_every_type_of_field_comes_back_as_it_was(make_record: MakeRecord) -> None:
    record = make_record(
        tags={"team": "ä"},
        cost=Decimal("0.000012"),
        usage={"prompt_tokens": 3, "x": [1.5, None]},
        latency_ms=1.25,
    )

    assert decode(encode(record)) == record
    assert decode(encode(record)).started_at.tzinfo is UTC


@given(any_record())
def test_whatever_is_in_a_record_comes_back(record: CallRecord) -> None:
    assert decode(encode(record)) == record


@given(any_record())
def test_an_object_as_format_1_has_it_is_the_same_record(record: CallRecord) -> None:
    assert decode(msgspec.msgpack.encode(flat(record))) == record


def test_names_that_an_object_of_format_1_had_and_no_column_has_any_more_are_skipped() -> None:
    newer = {"call_id": "c", "started_at": datetime.now(UTC), "seq": 7, "was_there_once": {"a": 1}}

    assert decode(msgspec.msgpack.encode(newer)).seq == 7


def test_what_an_object_of_format_1_left_out_has_its_default() -> None:
    older = {"call_id": "c", "started_at": datetime.now(UTC)}

    assert decode(msgspec.msgpack.encode(older)).outcome == "completed"


def test_fields_that_a_newer_version_has_appended_are_skipped(make_record: MakeRecord) -> None:
    record = make_record(input_tokens=3, latency_ms=1.25)
    array = msgspec.msgpack.decode(encode(record))
    array[USAGE].append(17)

    assert decode(msgspec.msgpack.encode([*array, "invented later", {"a": 1}])) == record


@given(any_record(), st.integers(2, 100), st.integers(0, 100))
def test_fields_that_an_older_version_did_not_know_have_their_defaults(
    record: CallRecord, fields: int, of_usage: int
) -> None:
    array = msgspec.msgpack.decode(encode(record))
    array[USAGE] = array[USAGE][:of_usage]
    known = astuple(record)[:fields]
    if fields > USAGE:
        known = (*known[:USAGE], Usage(*astuple(record.usage)[:of_usage]), *known[USAGE + 1 :])

    assert decode(msgspec.msgpack.encode(array[:fields])) == CallRecord(*known)


@pytest.mark.parametrize(
    ("seconds", "quantities"),
    [
        (0.0, {}),
        (8.47, {"input_audio_seconds": Quantity(Decimal("8.47"))}),
        (9.0, {"input_audio_seconds": Quantity(9)}),
    ],
)
def test_seconds_that_stood_in_the_place_of_the_quantities_are_one(
    make_record: MakeRecord, seconds: float, quantities: dict[str, Quantity]
) -> None:
    record = make_record(input_tokens=3, caller="ada")
    array = msgspec.msgpack.decode(encode(record))
    array[USAGE][Usage.__struct_fields__.index("quantities")] = seconds

    usage = msgspec.structs.replace(record.usage, quantities=quantities)
    assert decode(msgspec.msgpack.encode(array)) == msgspec.structs.replace(record, usage=usage)


@pytest.mark.parametrize("payload", [b"", b"\x90", b"\x80", b"\xc0", b"\xdc\x00", b"\x01\x02"])
def test_bytes_that_are_no_record_are_an_error_of_decoding(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(payload)


def test_names_are_not_written(make_record: MakeRecord) -> None:
    payload = encode(make_record(input_tokens=3, caller="ada"))

    assert not [name for name in FlatRecord.__struct_fields__ if name.encode() in payload]


def test_half_a_surrogate_pair_is_replaced_and_logged(
    make_record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    record = make_record(path="/v1/\ud83d", caller="team-a")

    assert decode(encode(record)) == msgspec.structs.replace(record, path="/v1/?")
    assert [message.levelno for message in caplog.records] == [logging.ERROR]
    assert record.call_id in caplog.text
    assert "path" in caplog.text


def test_a_number_beyond_64_bits_costs_the_raw_usage_and_not_the_record(
    make_record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    record = make_record(usage={"prompt_tokens": 2**70}, input_tokens=5)

    assert decode(encode(record)) == msgspec.structs.replace(record, usage=Usage(input_tokens=5))
    assert "usage cannot be written" in caplog.text


def test_fields_that_are_changed_are_counted_and_logged_ever_more_seldom(
    make_record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    before = changed_fields()
    for _ in range(100):
        encode(make_record(usage={"prompt_tokens": 2**70}))

    assert changed_fields() == before + 100
    assert len(caplog.records) <= 7


def test_a_record_is_kept_without_its_bodies(make_record: MakeRecord) -> None:
    contents = {"request_body": "ask", "response_body": "answer", "trace": Trace(["failed"])}
    full = make_record(**contents, caller="team-a", cost=Decimal("0.1"))
    bare = msgspec.structs.replace(full, **dict.fromkeys(contents))
    stripped = bare_payload(encode(full))

    assert without_contents(full) == bare
    assert stripped is not None
    assert decode(stripped) == bare


def test_a_record_that_has_no_bodies_stays_as_it_is(make_record: MakeRecord) -> None:
    record = make_record()

    assert without_contents(record) is record
    assert bare_payload(encode(record)) is None
