"""What a request for a WebSocket says, and what is asked of an upstream instead."""

import pytest

from support.clocks import JumpingClock
from tokenweir.deployments import Target
from tokenweir.errors import InvalidBody, UnknownRoute
from tokenweir.gateway.accept import address_of
from tokenweir.gateway.handshake import packs_messages, socket_query
from tokenweir.gateway.request import Address, Request
from tokenweir.gateway.routes import route_of
from tokenweir.gateway.upstream_request import upstream_head
from tokenweir.upstream import CredentialSettings, Upstream, UpstreamSettings, open_upstreams
from tokenweir.wire import RequestHead, read_request_head


def asking(target: str, *lines: str) -> RequestHead:
    told = [f"GET {target} HTTP/1.1", "Host: here", "Connection: Upgrade", "Upgrade: websocket", *lines]
    return read_request_head("\r\n".join(told).encode())


def upstream(kind: str = "azure", **more: object) -> Upstream:
    settings = UpstreamSettings("up", "https://up.example", CredentialSettings(key="theirs"), kind=kind, **more)  # type: ignore[arg-type]
    return open_upstreams([settings], {}, JumpingClock())["up"]


@pytest.mark.parametrize(
    ("target", "api", "model"),
    [
        ("/openai/v1/realtime?model=gpt-realtime", "realtime", "gpt-realtime"),
        ("/v1/realtime?model=my%20voice", "realtime", "my voice"),
        ("/openai/realtime?api-version=2025-04-01-preview&deployment=voice", "realtime", "voice"),
        ("/openai/v1/realtime?call_id=rtc_1", "realtime", None),
        ("/openai/v1/realtime/translations?model=gpt-realtime-translate", "realtime", "gpt-realtime-translate"),
        ("/openai/v1/live/sessions", "realtime", None),
        ("/openai/v1/live/sessions/live_1/attach", "realtime", None),
        ("/openai/v1/responses", "responses", None),
        ("/openai/v1/responses?model=gpt-5", "responses", "gpt-5"),
        ("/openai/v1/unheard/of", "other", None),
    ],
)
def test_where_a_socket_goes(target: str, api: str, model: str | None) -> None:
    address = address_of(asking(target))
    assert (address.is_socket, address.route.api, address.model) == (True, api, model)


def test_the_same_paths_without_an_upgrade_are_not_metered_by_it() -> None:
    assert route_of(b"GET", b"/openai/v1/realtime").api == "other"
    assert route_of(b"POST", b"/openai/v1/realtime").api == "other"  # WebRTC's older way
    assert route_of(b"GET", b"/openai/v1/responses").api == "other"


def test_a_session_that_is_attached_to_is_named_by_its_path() -> None:
    assert address_of(asking("/openai/v1/live/sessions/live_1/attach")).route.session_id == "live_1"


def test_another_spelling_is_refused_as_for_any_call() -> None:
    with pytest.raises(UnknownRoute, match="realtime"):
        address_of(asking("/openai/v1/REALTIME?model=m"))


def test_a_name_longer_than_any_is_refused() -> None:
    with pytest.raises(InvalidBody, match="longer than"):
        address_of(asking(f"/openai/v1/realtime?model={'m' * 300}"))


@pytest.mark.parametrize(
    ("kind", "target", "deployment", "query"),
    [
        ("azure", "/openai/v1/realtime?model=voice", "voice", b"model=voice"),
        ("azure", "/openai/v1/realtime?model=voice&x=1", "gpt-realtime-eu", b"model=gpt-realtime-eu&x=1"),
        ("azure", "/openai/v1/realtime?deployment=voice", "voice", b"model=voice"),
        ("azure", "/openai/realtime?api-version=v&deployment=voice", "eu", b"api-version=v&deployment=eu"),
        (
            "openai",
            "/openai/realtime?api-version=v&deployment=voice",
            "gpt-realtime",
            b"api-version=v&model=gpt-realtime",
        ),
        ("azure", "/openai/v1/realtime?model=a&model=b", "c", b"model=c"),
        ("azure", "/openai/v1/realtime?call_id=rtc_1", None, b"call_id=rtc_1"),
        ("azure", "/openai/v1/responses", None, b""),
    ],
)
def test_the_query_names_the_deployment_as_the_target_does(
    kind: str, target: str, deployment: str | None, query: bytes
) -> None:
    address = address_of(asking(target))
    assert socket_query(address, Target("up", deployment), upstream(kind)) == query


def head_for(head: RequestHead, kind: str = "azure") -> list[bytes]:
    address = address_of(head)
    clock = JumpingClock()
    request = Request("id", head, address, clock.now(), 0.0)
    return upstream_head(request, Target("up", address.model), upstream(kind)).split(b"\r\n")


def test_the_upgrade_is_asked_for_anew_and_nothing_else_is_changed() -> None:
    lines = head_for(
        asking(
            "/openai/realtime?api-version=v&deployment=voice",
            "Sec-WebSocket-Key: k",
            "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.mine",
            "Sec-WebSocket-Protocol: openai-beta.realtime-v1",
            "Sec-WebSocket-Extensions: x-odd; a=1",
            "Origin: https://chat.example",
        ),
        kind="openai",
    )
    assert lines == [
        b"GET /v1/realtime?model=voice HTTP/1.1",
        b"host: up.example",
        b"Sec-WebSocket-Key: k",
        b"Sec-WebSocket-Extensions: x-odd; a=1",
        b"Origin: https://chat.example",
        b"authorization: Bearer theirs",
        b"connection: Upgrade",
        b"upgrade: websocket",
        b"sec-websocket-protocol: realtime, openai-beta.realtime-v1",
    ]


def test_a_key_among_the_subprotocols_is_the_callers() -> None:
    address = address_of(
        asking("/v1/realtime?model=m", "Sec-WebSocket-Protocol: openai-insecure-api-key.mine,realtime")
    )
    assert (address.query_key, address.protocols) == (b"mine", b"realtime")
    plain = address_of(asking("/v1/realtime?model=m&api-key=other"))
    assert (plain.query_key, plain.protocols, plain.query) == (b"other", b"", b"model=m")


@pytest.mark.parametrize(
    ("lines", "packs"),
    [
        (b"\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover", True),
        (b"\r\nsec-websocket-extensions:x, permessage-deflate", True),
        (b"\r\nsec-websocket-extensions: x-permessage-deflated", False),
        (b"\r\nx: permessage-deflate", False),
    ],
)
def test_whether_messages_are_packed(lines: bytes, packs: bool) -> None:
    assert packs_messages(lines) is packs


def test_no_address_is_a_socket_by_itself() -> None:
    assert not Address("GET", "/v1/realtime", route_of(b"GET", b"/v1/realtime")).is_socket
