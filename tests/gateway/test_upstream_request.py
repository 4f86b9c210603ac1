"""What goes upstream: the caller's lines and bytes, but for address, key, framing, and a usage asked for."""

from typing import Any

import httptools
import msgspec
import pytest
from hypothesis import given, strategies as st

from support.asked import asked, chat
from support.clocks import JumpingClock
from tokenweir.deployments import Target
from tokenweir.gateway.request import Request
from tokenweir.gateway.upstream_request import (
    framing,
    injects_usage,
    remember_refusal,
    upstream_body,
    upstream_head,
)
from tokenweir.upstream import CredentialSettings, Upstream, UpstreamSettings, open_upstreams

TARGET = Target("sweden", "gpt-there")
STREAMED = b'{"model":"gpt","stream":true}'


def upstream(
    *, kind: str = "azure", endpoint: str = "http://sweden.example/base", credential: CredentialSettings | None = None
) -> Upstream:
    settings = UpstreamSettings(
        "sweden",
        endpoint,
        credential or CredentialSettings(key="sk-ours"),
        kind="openai" if kind == "openai" else "azure",
        api_version="2024-10-21",
        proxy="",
    )
    return open_upstreams([settings], {}, JumpingClock())["sweden"]


def sent(request: Request, to: Upstream | None = None, target: Target = TARGET, *, inject: bool = False) -> bytes:
    """The bytes that go upstream for a buffered request."""
    to = to or upstream()
    body = upstream_body(request, target, to, inject=inject)
    assert isinstance(body, bytes)
    return upstream_head(request, target, to) + framing(request, body) + body


def lines_of(data: bytes) -> list[bytes]:
    return data.partition(b"\r\n\r\n")[0].split(b"\r\n")


def body_of(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


class Read:
    """llhttp's reading of what goes upstream: whole, and nothing beyond."""

    def __init__(self, data: bytes) -> None:
        self.body = b""
        self.messages = 0
        httptools.HttpRequestParser(self).feed_data(data)
        assert self.messages == 1

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1


# --- the head ---


def test_lines_travel_as_they_came_between_our_address_and_our_key() -> None:
    request = chat(
        b"{}",
        "X-Odd-Case:  two  blanks ",
        "User-Agent: OpenAI/Python",
        "x-ms-client-request-id: 7",
        "Connection: keep-alive, X-Hop",
        "X-Hop: 1",
        "TE: trailers",
        "Expect: 100-continue",
        "Accept-Encoding: gzip, br",
        "api-key: tw-theirs",
        "Cookie: a=1",
    )
    assert lines_of(sent(request)) == [
        b"POST /base/openai/deployments/gpt-there/chat/completions?api-version=1 HTTP/1.1",
        b"host: sweden.example",
        b"Content-Type: application/json",
        b"X-Odd-Case:  two  blanks ",
        b"User-Agent: OpenAI/Python",
        b"x-ms-client-request-id: 7",
        b"api-key: sk-ours",
        b"accept-encoding: identity",
        b"content-length: 2",
    ]


def test_only_a_metered_call_must_not_be_compressed() -> None:
    request = asked("GET /v1/models", "Accept-Encoding: gzip, br")
    assert b"accept-encoding: gzip, br" in lines_of(sent(request))
    assert not any(line.lower().startswith(b"accept-encoding") for line in lines_of(sent(asked("GET /v1/models"))))


@pytest.mark.parametrize("kind", ["azure", "openai"])
@given(
    key=st.from_regex(r"[A-Za-z0-9]{20,40}", fullmatch=True),
    places=st.sets(st.sampled_from(range(5)), min_size=1),
    stream=st.booleans(),
)
def test_no_key_of_a_caller_ever_goes_upstream(kind: str, key: str, places: set[int], stream: bool) -> None:
    lines = [
        f"api-key: {key}",
        f"AUTHORIZATION: Bearer {key}",
        f"Ocp-Apim-Subscription-Key:{key}",
        f"Proxy-Authorization: {key}",
    ]
    target = "/v1/chat/completions?a=1" + (f"&subscription-key={key}" if 4 in places else "")
    body = b'{"model":"gpt","stream":true}' if stream else b'{"model":"gpt"}'
    request = chat(body, *(lines[place] for place in sorted(places - {4})), target=target)
    data = sent(request, upstream(kind=kind), inject=stream)
    assert key.encode() not in data
    assert b"sk-ours" in data


def test_a_callers_key_is_passed_through_where_that_is_configured() -> None:
    lines = ["API-KEY:  theirs-1", "Authorization: Bearer theirs-2", "Ocp-Apim-Subscription-Key: theirs-3"]
    through = upstream(credential=CredentialSettings(pass_through=True))
    head = lines_of(sent(asked("GET /v1/models?subscription-key=theirs-4", *lines), through))
    assert head[2:] == [
        b"api-key: theirs-1",
        b"ocp-apim-subscription-key: theirs-3",
        b"authorization: Bearer theirs-2",
    ]
    assert lines_of(sent(asked("GET /v1/models"), through))[2:] == []


def test_a_callers_token_is_passed_on_without_any_key_where_that_is_configured() -> None:
    through = upstream(credential=CredentialSettings(pass_token=True))
    assert not through.signs
    token = "Authorization: bearer eyJhbGciOiJSUzI1NiJ9.e30.x"
    head = lines_of(sent(asked("GET /v1/models?subscription-key=theirs-4", "API-KEY: theirs-1", token), through))
    assert head[2:] == [b"authorization: bearer eyJhbGciOiJSUzI1NiJ9.e30.x"]
    for other in ([], ["Authorization: Bearer tw-a-key-of-this-gateway"], ["Authorization: Basic eyJ.e30.x"]):
        assert lines_of(sent(asked("GET /v1/models", "API-KEY: theirs-1", *other), through))[2:] == []


@pytest.mark.parametrize(
    ("kind", "target", "address"),
    [
        (
            "azure",
            "/openai/deployments/gpt/embeddings",
            b"/base/openai/deployments/gpt-there/embeddings?api-version=2024-10-21",
        ),
        ("azure", "/v1/embeddings", b"/base/openai/v1/embeddings"),
        ("openai", "/openai/deployments/gpt/embeddings?api-version=1", b"/base/v1/embeddings"),
    ],
)
def test_the_address_is_the_targets(kind: str, target: str, address: bytes) -> None:
    data = sent(chat(b'{"model":"gpt"}', target=target), upstream(kind=kind))
    assert lines_of(data)[0] == b"POST " + address + b" HTTP/1.1"


# --- the body and its length ---


@pytest.mark.parametrize(
    ("kind", "target", "body", "named"),
    [
        ("azure", "/openai/deployments/gpt/embeddings", b'{"model":"gpt"}', "gpt"),
        ("azure", "/openai/deployments/gpt/embeddings", b'{"input":"x"}', None),
        ("azure", "/v1/embeddings", b'{"model":"gpt"}', "gpt-there"),
        ("azure", "/v1/embeddings", b'{"model":"gpt-there"}', "gpt-there"),
        ("azure", "/v1/images/generations", b'{"model":"gpt"}', "gpt-there"),
        ("openai", "/openai/deployments/gpt/embeddings", b'{"input":"x"}', "gpt-there"),
        ("openai", "/openai/deployments/gpt/embeddings", b'{"model":"gpt"}', "gpt-there"),
        ("openai", "/v1/embeddings", b'{"model":"gpt"}', "gpt-there"),
    ],
)
def test_the_body_names_what_it_is_called_there(kind: str, target: str, body: bytes, named: str | None) -> None:
    data = sent(chat(body, target=target), upstream(kind=kind))
    assert msgspec.json.decode(Read(data).body).get("model") == named


def test_a_body_that_needs_no_change_keeps_every_byte() -> None:
    body = b' { "model" : "gpt" , "stream":true, "stream_options": {"include_usage": true} }\r\n'
    assert body_of(sent(chat(body))) == body


def test_without_a_deployment_no_model_is_named() -> None:
    request = asked("POST /v1/batches", "Content-Type: application/json", body=b'{"a":1}')
    assert body_of(sent(request, target=Target("sweden", None))) == b'{"a":1}'


_members = st.dictionaries(st.text(max_size=6), st.one_of(st.text(max_size=10), st.integers(0, 9)), max_size=4)
_options = st.sampled_from([None, {}, {"include_usage": False}, {"include_obfuscation": False}])


@pytest.mark.parametrize("kind", ["azure", "openai"])
@given(members=_members, options=_options)
def test_the_length_is_right_whatever_was_added(
    kind: str, members: dict[str, Any], options: dict[str, Any] | None
) -> None:
    body: dict[str, Any] = {**members, "model": "gpt", "stream": True}
    if options is not None:
        body["stream_options"] = options
    request = chat(msgspec.json.encode(body))
    to = upstream(kind=kind)
    assert injects_usage(request, TARGET, to)
    got = msgspec.json.decode(Read(sent(request, to, inject=True)).body)
    model = "gpt-there" if kind == "openai" else "gpt"
    assert got == {**body, "model": model, "stream_options": {**(options or {}), "include_usage": True}}


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (asked("GET /v1/models"), None),
        (asked("DELETE /v1/files/f-1"), None),
        (asked("HEAD /v1/models"), None),
        (asked("POST /v1/files/f/cancel"), b"content-length: 0"),
        (asked("PUT /v1/files/f", "Content-Length: 0"), b"content-length: 0"),
        (
            asked("POST /v1/batches", "Content-Type: application/json", "Transfer-Encoding: chunked", body=b"{}"),
            b"content-length: 2",
        ),
        (asked("POST /v1/files", "Content-Type: multipart/form-data", "Content-Length: 77"), b"content-length: 77"),
        (
            asked("POST /v1/files", "Content-Type: multipart/form-data", "Transfer-Encoding: chunked"),
            b"transfer-encoding: chunked",
        ),
    ],
)
def test_a_body_is_framed_as_it_is_sent(request_: Request, line: bytes | None) -> None:
    data = upstream_head(request_, TARGET, upstream()) + framing(request_, request_.body)
    assert data.endswith(b"\r\n\r\n")
    found = [one for one in lines_of(data) if one.startswith((b"content-length", b"transfer-encoding"))]
    assert found == ([line] if line else [])


# --- a usage asked for ---


@pytest.mark.parametrize(
    ("request_", "asks"),
    [
        (chat(STREAMED), True),
        (chat(STREAMED, target="/v1/completions"), True),
        (chat(b'{"model":"gpt","stream":true,"stream_options":{"include_usage":false}}'), True),
        (chat(b'{"model":"gpt","stream":true,"stream_options":null}'), True),
        (chat(b'{"model":"gpt","stream":true,"stream_options":{"include_usage":true}}'), False),
        (chat(b'{"model":"gpt","stream":false}'), False),
        (chat(b'{"model":"gpt"}'), False),
        (chat(b'{"model":"gpt","stream":"true"}'), False),
        (chat(STREAMED, target="/v1/embeddings"), False),
        (chat(STREAMED, target="/v1/responses"), False),
        (chat(STREAMED, target="/v1/images/generations"), False),
    ],
)
def test_usage_is_asked_for_where_a_stream_would_not_tell_it(request_: Request, asks: bool) -> None:
    assert injects_usage(request_, TARGET, upstream()) is asks


def test_a_deployment_that_refused_to_be_asked_is_not_asked_again() -> None:
    to = upstream()
    remember_refusal(chat(STREAMED), TARGET, to)
    assert not injects_usage(chat(STREAMED), TARGET, to)
    assert injects_usage(chat(STREAMED), Target("sweden", "another"), to)
    newer = "/openai/deployments/gpt/chat/completions?api-version=2"
    assert injects_usage(chat(STREAMED, target=newer), TARGET, to)


def test_your_data_refuses_to_be_asked_and_says_nothing_of_other_calls() -> None:
    to = upstream()
    remember_refusal(chat(b'{"model":"gpt","stream":true,"data_sources":[]}'), TARGET, to)
    assert injects_usage(chat(STREAMED), TARGET, to)
