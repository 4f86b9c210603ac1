"""Whose call it was, as clients say it: in the body or in a header, in any body that an upstream would take."""

import json
from typing import Any

import pytest

from support.raw_client import RawClient, chat_request
from support.world import World
from tokenweir.policy import hashed_subject

SECRET = "a long random text of an operator"


def subject_of(world: World, server: dict[str, Any], body: dict[str, Any] | bytes, *lines: str) -> tuple[Any, ...]:
    relay = world.relay(server=server)
    sent = (
        body
        if isinstance(body, bytes)
        else json.dumps({"messages": [{"role": "user", "content": "hello"}], **body}).encode()
    )
    with RawClient(relay.address) as client:
        client.send(chat_request(None, *lines, body=sent))
        assert client.read_answer().status in (200, 400)  # what the simulator makes of it is its own matter
    record = relay.record()
    return record.subject, record.identity_source


BOTH = {"user": "ada", "safety_identifier": "hash-of-ada"}


@pytest.mark.parametrize(
    ("sources", "body", "said"),
    [
        (["safety_identifier", "user"], BOTH, "hash-of-ada"),
        (["user", "safety_identifier"], BOTH, "ada"),
        (["safety_identifier", "user"], {"user": "ada"}, "ada"),
        (["safety_identifier"], {"user": "ada"}, None),
        (["user"], {"user": 7}, None),
        (["user"], {"user": ""}, None),
        (["user"], {"user": "a" * 513}, None),
        ([], BOTH, None),
        (["user"], b'{"messages": [{"role": "user", "content": "hello"}], "user": "one", "user": "ada"}', "ada"),
        (["user"], b'{"messages": [{"role": "user", "content": "hello"}], "\\u0075ser": "ada"}', "ada"),
        (["user"], b'{"messages": [{"role": "user", "content": "\\ud83d"}], "user": "ada"}', "ada"),
        (["metadata.user_id"], {"metadata": {"user_id": "ada"}, "user": "bob"}, "ada"),
        (["metadata.user_id", "user"], {"metadata": {"other": "x"}, "user": "ada"}, "ada"),
        (["metadata.user_id"], {"metadata": {"user_id": 7}}, None),
        (["metadata.user_id"], {"metadata": ["user_id"]}, None),
        (["metadata.user_id"], {"metadata": None}, None),
        (["metadata.user_id"], {"metadata": {"user_id": "a" * 513}}, None),
        (
            ["metadata.user_id"],
            json.dumps(
                {"messages": [{"role": "user", "content": "x" * 600_000}], "metadata": {"user_id": "ada"}}
            ).encode(),
            "ada",
        ),
        (
            ["user"],
            json.dumps({"messages": [{"role": "user", "content": "x" * 600_000}], "user": "ada"}).encode(),
            "ada",
        ),
    ],
)
def test_the_first_source_that_says_something_counts(
    world: World, sources: list[str], body: dict[str, Any] | bytes, said: str | None
) -> None:
    expected = (said, "client" if said else None)
    assert subject_of(world, {"subject_from": sources}, body) == expected


def test_a_header_is_read_whatever_its_case_and_travels_on(world: World) -> None:
    server = {"subject_from": ["header:X-User-Id", "user"]}
    assert subject_of(world, server, {"user": "bob"}, "x-USER-id:  ada ") == ("ada", "client")


def test_with_a_secret_only_a_keyed_hash_is_written_down(world: World) -> None:
    server = {"subject_from": ["user"], "subject_secret": SECRET}
    assert subject_of(world, server, {"user": "ada"}) == (hashed_subject(SECRET, "ada"), "client")


def test_a_platform_in_front_is_believed_before_a_client(world: World) -> None:
    server = {"subject_from": ["user"], "platform_identity": True}
    said = subject_of(world, server, {"user": "bob"}, "X-MS-CLIENT-PRINCIPAL-NAME: ada")
    assert said == ("ada", "platform")
