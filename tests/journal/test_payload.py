"""A record survives being written, whatever an upstream or a client has put into it."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from tokenweir.journal.payload import bare_payload, decode, encode
from tokenweir.records import CallRecord, Trace, without_contents

MakeRecord = Callable[..., CallRecord]


def test_every_type_of_field_comes_back_as_it_was(make_record: MakeRecord) -> None:
    record = make_record(
        tags={"team": "ä"},
        cost=Decimal("0.000012"),
        usage={"prompt_tokens": 3, "x": [1.5, None]},
        latency_ms=1.25,
    )

    assert decode(encode(record)) == record
    assert decode(encode(record)).started_at.tzinfo is UTC


def test_unknown_fields_of_a_newer_version_are_skipped() -> None:
    newer = {"call_id": "c", "started_at": datetime.now(UTC), "seq": 7, "invented_later": {"a": 1}}

    assert decode(msgspec.msgpack.encode(newer)).seq == 7


def test_fields_that_an_older_version_did_not_know_have_their_defaults() -> None:
    older = {"call_id": "c", "started_at": datetime.now(UTC)}

    assert decode(msgspec.msgpack.encode(older)).outcome == "completed"


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

    assert decode(encode(record)) == msgspec.structs.replace(record, usage=None)
    assert "usage cannot be written" in caplog.text


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
