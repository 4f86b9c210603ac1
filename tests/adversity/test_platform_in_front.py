"""Whom a platform in front names is the subject, but only where a setting says that it is there."""

import pytest

from support.raw_client import RawClient, get_request
from support.relay_thread import KEY
from support.world import World, on_both_hosts


@on_both_hosts
@pytest.mark.parametrize("trusts", [True, False])
def test_whom_the_platform_names_is_the_subject_where_it_is_trusted(world: World, trusts: bool) -> None:
    relay = world.relay(server={"platform_identity": trusts})
    with RawClient(relay.address) as client:
        client.send(get_request("/openai/models?api-version=1", "X-MS-CLIENT-PRINCIPAL-NAME: ada@example.com", key=KEY))
        assert client.read_answer().status == 200
    record = relay.record()
    assert record.subject == ("ada@example.com" if trusts else None)
    assert record.caller != "ada@example.com"


@on_both_hosts
def test_an_application_has_an_id_only(world: World) -> None:
    relay = world.relay(server={"platform_identity": True})
    with RawClient(relay.address) as client:
        client.send(get_request("/openai/models?api-version=1", "X-MS-CLIENT-PRINCIPAL-ID: 4f1e", key=KEY))
        assert client.read_answer().status == 200
    assert relay.record().subject == "4f1e"


@on_both_hosts
def test_where_no_caller_has_a_key_the_platforms_name_is_the_caller(world: World) -> None:
    relay = world.relay(server={"platform_identity": True, "host_names": ["gateway"]}, callers=[])
    with RawClient(relay.address) as client:
        client.send(get_request("/openai/models?api-version=1", "X-MS-CLIENT-PRINCIPAL-NAME: ada@example.com"))
        assert client.read_answer().status == 200
    record = relay.record()
    assert (record.caller, record.subject) == ("ada@example.com", "ada@example.com")
