"""The envelope, held to the rules of CloudEvents 1.0."""

import json
import re
from base64 import b64decode
from datetime import datetime
from typing import Any

from hypothesis import given

from support.call_records import a_call, any_record
from tokenweir.delivery.sinks.formats import envelope
from tokenweir.records import CallRecord

PROPERTIES = {"call_id": "c-1", "replica": "r", "seq": "7", "shape": "tokenweir"}


def opened(record: CallRecord, data: bytes, **properties: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(envelope(record, PROPERTIES | properties, data))
    return event


def test_an_envelope_says_what_the_specification_asks_for() -> None:
    event = opened(a_call(), b'{"a": 1}')

    assert event["specversion"] == "1.0"
    assert event["id"] == a_call().call_id
    assert event["source"] == "/tokenweir/host-relay-0-abcdef"
    assert event["type"] == "tokenweir.call"
    assert event["subject"] == "gpt"
    assert datetime.fromisoformat(event["time"]) == datetime.fromisoformat("2026-11-22T12:00:00.200706Z")
    assert event["datacontenttype"] == "application/json"
    assert event["data"] == {"a": 1}
    assert (event["callid"], event["shape"]) == ("c-1", "tokenweir")


def test_a_part_has_an_id_of_its_own_and_exact_bytes() -> None:
    event = opened(a_call(), b'{"a', part="2", parts="3")

    assert event["id"] == f"{a_call().call_id}-2"
    assert (event["part"], event["parts"]) == ("2", "3")
    assert b64decode(event["data_base64"]) == b'{"a'
    assert "data" not in event


@given(any_record())
def test_names_and_values_are_such_as_the_specification_allows(record: CallRecord) -> None:
    event = opened(record, b"{}")

    attributes = {name: value for name, value in event.items() if name != "data"}
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in attributes)
    assert all(isinstance(value, str) and value for value in attributes.values())
