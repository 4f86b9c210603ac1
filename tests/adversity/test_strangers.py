"""Strangers who open connections, say little or nothing, and stay: they cannot take what the others need."""

import pytest

from support.raw_client import RawClient, chat_request, get_request
from support.relay_thread import RelayThread
from support.world import World


def connected(relay: RelayThread, count: int) -> None:
    relay.until(lambda: len(relay.process.data_plane.clients) == count)


def until_seen(relay: RelayThread, size: int) -> None:
    """Until one client has sent so many bytes in all."""
    relay.until(lambda: any(one._bytes_seen == size for one in relay.process.data_plane.clients))


def test_a_connection_too_many_is_answered_503_and_recorded(world: World) -> None:
    relay = world.relay(server={"max_clients": 2, "max_clients_per_address": 9})
    with RawClient(relay.address) as first, RawClient(relay.address) as second:
        for client in (first, second):
            client.send(chat_request())
            assert client.read_answer().status == 200
        with RawClient(relay.address) as third:
            third.send(chat_request())
            answer = third.read_answer()
            assert third.is_closed()
        connected(relay, 2)
    connected(relay, 0)

    assert (answer.status, answer.fields["retry-after"], answer.error["code"]) == (503, "2", "too_many_connections")
    assert "server.max_clients)" in str(answer.error["message"])
    records = relay.records(3)
    assert (records[2].outcome, records[2].status, records[2].error_code) == ("refused", 503, "too_many_connections")
    assert [record.outcome for record in records[:2]] == ["completed", "completed"]
    assert relay.process.data_plane.doorkeeper.refused == 1


def test_whoever_has_been_silent_for_longest_gives_up_their_place(world: World) -> None:
    relay = world.relay(server={"max_clients": 3, "max_clients_per_address": 10})
    with RawClient(relay.address) as speaking, RawClient(relay.address) as first:
        speaking.send(chat_request())
        assert speaking.read_answer().status == 200
        first.send(chat_request()[:20])
        until_seen(relay, 20)
        second = RawClient(relay.address)
        connected(relay, 3)
        with RawClient(relay.address) as newcomer:
            newcomer.send(chat_request())
            assert newcomer.read_answer().status == 200
            assert first.is_closed()
            second.send(chat_request())
            assert second.read_answer().status == 200
            speaking.send(chat_request())
            assert speaking.read_answer().status == 200
            second.close()
    assert [record.status for record in relay.records(4)] == [200] * 4
    assert relay.process.data_plane.doorkeeper.closed == 1


def test_one_address_cannot_take_every_place(world: World) -> None:
    relay = world.relay(server={"max_clients": 4})
    clients = [RawClient(relay.address) for _ in range(3)]
    for client in clients:
        client.send(chat_request())
        assert client.read_answer().status == 200
    with RawClient(relay.address) as one_more:
        one_more.send(chat_request())
        answer = one_more.read_answer()
    assert answer.status == 503
    assert "server.max_clients_per_address)" in str(answer.error["message"])
    for client in clients:
        client.close()
    connected(relay, 0)
    assert relay.records(4)[3].error_code == "too_many_connections"


def test_while_places_are_scarce_idle_connections_are_kept_for_a_moment(world: World) -> None:
    relay = world.relay(server={"max_clients": 4, "max_clients_per_address": 4})
    clients = [RawClient(relay.address) for _ in range(3)]
    connected(relay, 3)
    relay.jump(3)
    assert relay.inside(lambda: len(relay.process.data_plane.clients)) == 3  # there is room
    clients.append(RawClient(relay.address))
    connected(relay, 4)
    relay.jump(3)
    connected(relay, 0)
    for client in clients:
        assert client.is_closed()
        client.close()


def test_the_descriptors_kept_for_the_journal_and_upstreams_are_not_given_to_clients(world: World) -> None:
    relay = world.relay()
    doorkeeper = relay.process.data_plane.doorkeeper
    usual = doorkeeper._first_reserved
    with RawClient(relay.address) as silent:
        connected(relay, 1)
        doorkeeper._first_reserved = 0
        with RawClient(relay.address) as newcomer:  # for whom the silent one has to go
            newcomer.send(chat_request())
            assert newcomer.read_answer().status == 200
            assert silent.is_closed()
            with RawClient(relay.address) as client:
                assert client.is_closed()
            newcomer.send(chat_request())
            assert newcomer.read_answer().status == 200
    connected(relay, 0)
    doorkeeper._first_reserved = usual
    assert doorkeeper.closed == 2
    relay.records(2)


def test_a_refused_body_that_trickles_is_not_read_for_ever(world: World) -> None:
    relay = world.relay(server={"min_body_rate": 0})
    sent = chat_request(key="wrong")
    with RawClient(relay.address) as client:
        client.send(sent[:-9])
        relay.until(lambda: relay.process.data_plane.calls)
        relay.jump(20)
        client.send(sent[-9:-8])
        until_seen(relay, len(sent) - 8)
        relay.jump(11)
        answer = client.read_answer()
        assert (answer.status, answer.fields["connection"]) == (401, "close")
        relay.jump(3)
        connected(relay, 0)
    assert relay.record().error_code == "invalid_api_key"


@pytest.mark.parametrize(("size", "ends"), [(6_000, True), (15_000, False)])
def test_a_body_must_come_at_a_pace(world: World, size: int, ends: bool) -> None:
    relay = world.relay()
    body = b'{"messages":[{"role":"user","content":"%b"}]}' % (b"x" * 20_000)
    sent = chat_request(body=body)
    begin = len(sent) - len(body)
    with RawClient(relay.address) as client:
        client.send(sent[: begin + 1])
        relay.until(lambda: relay.process.data_plane.calls)
        relay.jump(1)
        client.send(sent[begin + 1 : begin + 1 + size])
        until_seen(relay, begin + 1 + size)
        relay.jump(20)
        assert relay.inside(lambda: len(relay.process.data_plane.calls)) == 1
        client.send(sent[begin + 1 + size : begin + 2 + size])
        until_seen(relay, begin + 2 + size)
        relay.jump(12)
        if ends:
            answer = client.read_answer()
            assert (answer.status, answer.error["code"]) == (408, "request_timeout")
            assert "min_body_rate" in str(answer.error["message"])
        else:
            client.send(sent[begin + 2 + size :])
            assert client.read_answer().status == 200
    assert relay.record().outcome == ("refused" if ends else "completed")


def test_a_head_that_trickles_is_given_up(world: World) -> None:
    relay = world.relay()
    sent = get_request("/openai/models")
    with RawClient(relay.address) as client:
        client.send(sent[:10])
        until_seen(relay, 10)
        for place in range(10, 16):
            relay.jump(5)
            client.send(sent[place : place + 1])
            until_seen(relay, place + 1)
        relay.jump(2)
        assert client.read_answer().status == 408
    assert relay.record().error_code == "request_timeout"
