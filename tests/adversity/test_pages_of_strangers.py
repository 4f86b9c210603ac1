"""Days on which a page on the web asks a gateway on the machine of whoever looks at it, where no caller has a key."""

from collections.abc import Sequence
from typing import Any

import pytest

from support.raw_client import Answer, RawClient
from support.world import World, on_both_hosts


def ask(world: World, *lines: str, names: Sequence[str] = (), **server: Any) -> Answer:
    # The world's own question at the end comes to `gateway`.
    relay = world.relay(server={**server, "host_names": ["gateway", *names]}, callers=[])
    with RawClient(relay.address) as client:
        client.send("\r\n".join(["GET /openai/models?api-version=1 HTTP/1.1", *lines, "", ""]).encode())
        told = client.read_answer()
    assert relay.record().status == told.status
    return told


@on_both_hosts
@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "127.8.9.1"])
def test_its_own_names_are_answered(world: World, host: str) -> None:
    assert ask(world, f"Host: {host}").status == 200


@on_both_hosts
@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"]
)
def test_a_name_that_was_made_to_lead_here_is_not_answered(world: World, host: str) -> None:
    told = ask(world, f"Host: {host}")
    assert (told.status, told.error["code"]) == (421, "not_local")
    assert "host_names" in str(told.error["message"])


@on_both_hosts
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example:3000", "file://"])
def test_a_page_of_another_site_is_not_answered(world: World, origin: str) -> None:
    told = ask(world, "Host: localhost", f"Origin: {origin}")
    assert (told.status, told.error["code"]) == (421, "not_local")
    assert "cors_origins" in str(told.error["message"])


@on_both_hosts
@pytest.mark.parametrize(
    ("lines", "server"),
    [
        (["Host: weir.example:8080"], {"names": ["Weir.example"]}),
        (["Host: localhost", "Origin: https://chat.example"], {"cors_origins": ["https://chat.example"]}),
        (["Host: localhost", "Origin: https://chat.example"], {"cors_origins": ["*"]}),
        (["Host: localhost", "Origin: http://localhost:3000"], {}),
    ],
)
def test_what_is_named_is_answered(world: World, lines: list[str], server: dict[str, Any]) -> None:
    assert ask(world, *lines, **server).status == 200


@on_both_hosts
def test_where_callers_have_keys_the_key_decides(world: World) -> None:
    relay = world.relay()
    with RawClient(relay.address) as client:
        client.send(b"GET /openai/models?api-version=1 HTTP/1.1\r\nHost: anything.example\r\n\r\n")
        assert client.read_answer().status == 401
    relay.record()
