"""What a message holds, or why it holds nothing of ours."""

from base64 import b64encode
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, strategies as st

from tokenweir.delivery import BrokerMessage
from tokenweir.delivery.sources.formats import RecordPart, Unreadable, decode, unwrap
from tokenweir.records import CallRecord, flat

MakeRecord = Callable[..., CallRecord]

OLDEST = b'{"call_id": "1", "started_at": "2026-01-01T00:00:00Z"}'


def message(body: bytes, **properties: str) -> BrokerMessage:
    return BrokerMessage(body=body, properties=properties, place="here")


def enveloped(**attributes: object) -> BrokerMessage:
    return message(msgspec.json.encode({"specversion": "1.0", "id": "1", "source": "/x", "type": "y"} | attributes))


def refusal(given: BrokerMessage) -> str:
    with pytest.raises(Unreadable) as refused:
        decode(unwrap(given).data)
    return str(refused.value)


def test_a_record_comes_back_as_it_was_sent(
    make_record: MakeRecord, as_messages: Callable[..., list[BrokerMessage]]
) -> None:
    record = make_record(request_body='{"specversion": "1.0", "ä": "€"}', usage={"prompt_tokens": 1})
    [sent] = as_messages(record)
    assert decode(unwrap(sent).data) == record


def test_without_properties_a_whole_record_is_taken_too() -> None:
    assert decode(unwrap(message(OLDEST)).data).call_id == "1"


def test_what_a_newer_sender_adds_is_left_out() -> None:
    assert decode(OLDEST[:-1] + b', "colour": "red"}').call_id == "1"


def test_an_envelope_is_recognised_wherever_its_attributes_stand(make_record: MakeRecord) -> None:
    record = make_record()
    data = msgspec.Raw(msgspec.json.encode(flat(record)))
    assert decode(unwrap(enveloped(data=data)).data) == record
    late = msgspec.json.encode({"data": data, "datacontenttype": "application/json", "specversion": "1.0"})
    assert decode(unwrap(message(late)).data) == record
    in_base64 = enveloped(data_base64=b64encode(bytes(data)).decode())
    assert decode(unwrap(in_base64).data) == record


def test_parts_are_known_by_their_properties_and_in_an_envelope_by_its_attributes() -> None:
    assert unwrap(message(b"ab", call_id="x", part="2", parts="3")) == RecordPart(b"ab", "x", 2, 3)
    data = b64encode(b"ab").decode()
    for part, parts in (("2", "3"), (2, 3)):
        given = enveloped(callid="x", shape="tokenweir", part=part, parts=parts, data_base64=data)
        assert unwrap(given) == RecordPart(b"ab", "x", 2, 3)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (message(b""), "it is empty"),
        (message(b"hello"), "it is no record: JSON is malformed"),
        (message(b"[]"), "it is no record: Expected `object`, got `array`"),
        (message(b"{}"), "it is no record: Object missing required field `call_id`"),
        (message(OLDEST, shape="sse-proxy"), "it is in the shape 'sse-proxy', which does not hold the whole record"),
        (message(OLDEST, shape="apim", part="1", parts="2"), "it is in the shape 'apim'"),
        (message(OLDEST, part="0", parts="2", call_id="1"), "do not say which part"),
        (message(OLDEST, part="3", parts="2", call_id="1"), "do not say which part"),
        (message(OLDEST, part="1", parts="2"), "do not say which part"),
        (message(OLDEST, part="1", parts="99999999", call_id="1"), "do not say which part"),
        (message(OLDEST, part="one", parts="2", call_id="1"), "do not say which part"),
        (message(OLDEST, part="²", parts="3", call_id="1"), "do not say which part"),
        (enveloped(), "its CloudEvents envelope has no data"),
        (enveloped(data_base64="?"), "is not base64"),
        (enveloped(data={"call_id": 1}), "it is no record: Expected `str`, got `int` - at `$.call_id`"),
        (message(OLDEST.replace(b"Z", b"")), "its started_at has no time zone"),
        (message(OLDEST.replace(b'"1"', b'""')), "its call_id has 0 characters"),
        (message(OLDEST.replace(b'"1"', b'"' + b"x" * 201 + b'"')), "its call_id has 201 characters"),
        (message(b'{"usage":' * 5000 + b"1" + b"}" * 5000), "it is nested too deeply"),
    ],
)
def test_what_cannot_be_read_says_why(given: BrokerMessage, reason: str) -> None:
    assert reason in refusal(given)


def test_a_reason_repeats_nothing_of_the_message() -> None:
    said = refusal(message(OLDEST[:-1] + b', "outcome": "my secret prompt"}'))
    assert said == "it is no record: a value that is not known - at `$.outcome`"


@given(st.binary() | st.text().map(str.encode), st.dictionaries(st.sampled_from(["part", "parts", "shape"]), st.text()))
def test_anything_is_read_or_refused(body: bytes, properties: dict[str, str]) -> None:
    try:
        decode(unwrap(message(body, **properties)).data)
    except Unreadable as error:
        assert str(error)
