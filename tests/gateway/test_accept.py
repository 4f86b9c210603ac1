"""A body has one reading: what is decided on is what the upstream reads, or the call is refused."""

import pytest

from support.asked import asked, chat
from support.clocks import JumpingClock
from tokenweir.deployments import Target
from tokenweir.errors import InvalidBody
from tokenweir.gateway.request import Request
from tokenweir.gateway.retry_policy import refuses_stream_options
from tokenweir.gateway.upstream_request import injects_usage, remember_refusal, upstream_body
from tokenweir.upstream import CredentialSettings, Upstream, UpstreamSettings, open_upstreams

TARGET = Target("sweden", "gpt-there")
STREAMED = b'{"model":"gpt","stream":true,"messages":[]}'


def upstream(clock: JumpingClock) -> Upstream:
    settings = UpstreamSettings("sweden", "http://sweden.example", CredentialSettings(key="sk-ours"), proxy="")
    return open_upstreams([settings], {}, clock)["sweden"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","mod\\u0065l":"b"}',
        b'{"model":"a","model":"a"}',
        b'{"stream":true,"stream":false}',
        b'{"stream_options":null,"stream_options":{"include_usage":true}}',
        b'{"stream_options":{"include_usage":true,"include_usage":false}}',
        b'{"stream_options":{"include_usage":true,"include_us\\u0061ge":false}}',
        b'{"service_tier":"flex","service_tier":"priority"}',
        b'{"data_sources":[],"data_sources":[1]}',
        b'{"model":"a","model":"b","x":"\\ud83d"}',
        b'{"model":"a","model":"b","x":NaN}',
    ],
)
def test_a_member_that_decides_and_is_there_twice_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidBody, match="twice"):
        chat(body)


def test_what_decides_nothing_may_be_there_twice() -> None:
    body = b'{"user":"a","user":"b","messages":[{"model":1,"model":2,"stream":1}],"model":"gpt"}'
    request = chat(body)
    assert (request.model, request.body) == ("gpt", body)


def test_what_is_not_metered_is_the_upstreams_to_judge() -> None:
    request = asked("POST /v1/batches", "Content-Type: application/json", body=b'{"model":"a","model":"b"}')
    assert request.model is None


def test_names_are_read_however_they_are_written() -> None:
    request = chat(b'{"mod\\u0065l":"gpt","str\\u0065am":true,"stream\\u005foptions":{"include\\u005fusage":true}}')
    assert (request.model, request.stream, request.asks_for_usage) == ("gpt", True, True)


@pytest.mark.parametrize("value", [b"1", b'"true"', b"null", b"[true]", b"1.0"])
def test_only_true_makes_a_stream(value: bytes) -> None:
    assert chat(b'{"model":"gpt","stream":' + value + b"}").stream is False


def test_a_byte_order_mark_is_left_out() -> None:
    request = chat(b"\xef\xbb\xbf" + STREAMED)
    assert (request.model, request.stream, request.body) == ("gpt", True, STREAMED)


@pytest.mark.parametrize("end", [b"x", b"{}", b"\x00", b",", b'"'])
def test_nothing_may_follow_the_object(end: bytes) -> None:
    with pytest.raises(InvalidBody):
        chat(STREAMED + end)


def test_nan_passes_as_upstreams_let_it_pass() -> None:
    request = chat(b'{"model":"gpt","temperature":NaN,"stream":true}')
    assert (request.model, request.stream) == ("gpt", True)


@pytest.mark.parametrize(
    ("tier", "read"), [(b'"flex"', "flex"), (b'"priority"', "priority"), (b"null", None), (b"1", None)]
)
def test_the_service_tier_that_is_asked_for_is_read(tier: bytes, read: str | None) -> None:
    assert chat(b'{"model":"gpt","service_tier":' + tier + b"}").service_tier == read


def test_options_whose_name_is_escaped_are_not_added_a_second_time() -> None:
    clock = JumpingClock()
    request = chat(b'{"stream":true,"stream\\u005foptions":null}')
    body = upstream_body(request, TARGET, upstream(clock), inject=True)
    assert body == b'{"stream":true,"stream_options":{"include_usage":true}}'


# --- what is remembered of one call, for the others ---


@pytest.mark.parametrize(
    "member",
    [
        b'"data_sources":[]',
        b'"data_source\\u0073":[]',
        b'"dataSources":[]',
        b'"extra_body":{}',
        b'"tools":[]',
        b'"service_tier":"flex"',
        b'"\\ud83d":1',
    ],
)
def test_a_refusal_that_something_else_may_have_caused_is_not_remembered(member: bytes) -> None:
    to = upstream(JumpingClock())
    remember_refusal(chat(b'{"stream":true,"messages":[],' + member + b"}"), TARGET, to)
    assert injects_usage(chat(STREAMED), TARGET, to)


def test_a_plain_bodys_refusal_is_remembered_for_an_hour() -> None:
    clock = JumpingClock()
    to = upstream(clock)
    remember_refusal(chat(STREAMED), TARGET, to)
    clock.jump(3599)
    assert not injects_usage(chat(STREAMED), TARGET, to)
    clock.jump(1)
    assert injects_usage(chat(STREAMED), TARGET, to)


@pytest.mark.parametrize(
    ("body", "refuses"),
    [
        (b'{"error":{"message":"Unknown: stream\\u005foptions"}}', True),
        (b'{"error":{"message":"Unknown argument","param":"stream_options"}}', True),
        (b'{"error":{"message":"Bad prompt"},"prompt":"stream_options"}', False),
        (b"Unknown argument stream_options", True),
    ],
)
def test_an_answer_is_read_for_what_it_says(body: bytes, refuses: bool) -> None:
    assert refuses_stream_options(body) is refuses


FORM_TYPE = "Content-Type: multipart/form-data; boundary=b"


def field(name: str, value: str) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def transcription(*fields: bytes, target: str = "/openai/v1/audio/transcriptions") -> Request:
    return asked(f"POST {target}", FORM_TYPE, body=b"".join(fields) + b"--b--\r\n")


def test_a_forms_fields_say_what_is_asked_for() -> None:
    request = transcription(field("model", "whisper"), field("file", "RIFF"), field("stream", "true"))
    assert (request.model, request.stream, request.address.is_buffered) == ("whisper", True, True)


def test_a_form_goes_on_with_the_targets_own_name_and_no_other_byte_changed() -> None:
    request = transcription(field("file", "RIFF\xff"), field("model", "gpt"))
    sent = upstream_body(request, TARGET, upstream(JumpingClock()), inject=False)
    assert isinstance(sent, list)
    assert b"".join(sent) == request.body.replace(b"\r\n\r\ngpt\r\n", b"\r\n\r\ngpt-there\r\n")


def test_a_form_without_a_model_gets_one_where_it_has_to_have_one() -> None:
    settings = UpstreamSettings("openai", "http://o.example/v1", CredentialSettings(key="k"), kind="openai", proxy="")
    target = "/openai/deployments/gpt/audio/translations?api-version=1"
    request = transcription(field("file", "RIFF"), target=target)
    sent = upstream_body(request, TARGET, open_upstreams([settings], {}, JumpingClock())["openai"], inject=False)
    assert isinstance(sent, list)
    assert b"".join(sent) == field("file", "RIFF") + field("model", "gpt-there") + b"--b--\r\n"


def test_where_the_path_names_the_deployment_a_form_goes_on_as_it_came() -> None:
    target = "/openai/deployments/gpt/audio/transcriptions?api-version=1"
    request = transcription(field("model", "anything"), field("file", "RIFF"), target=target)
    assert upstream_body(request, TARGET, upstream(JumpingClock()), inject=False) == [request.body]


@pytest.mark.parametrize(
    "fields",
    [(field("model", "a"), field("model", "b")), (field("Model", "a"),), (field("model", "m" * 300),), (b"x--b",)],
)
def test_a_form_that_can_be_read_in_two_ways_is_refused(fields: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidBody):
        transcription(*fields)


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "multipart/form-data; boundary="])
def test_a_form_has_to_say_that_it_is_one(content_type: str) -> None:
    with pytest.raises(InvalidBody, match="multipart/form-data"):
        asked("POST /openai/v1/audio/transcriptions", f"Content-Type: {content_type}", body=b"{}")
