"""A caller asks for what it may not use: refused as OpenAI would, and in the books as its refused call."""

import msgspec

from support.raw_client import RawClient, chat_request
from support.relay_thread import KEY
from support.world import World
from tokenweir.policy import CallerSettings, GroupSettings, hash_key

CALLERS = [CallerSettings("team", hash_key("k"), groups=["small"]), CallerSettings("team-a", hash_key(KEY))]
GROUPS = [GroupSettings("small", {"tier": "small"}, ["gpt-4o-mini"])]


def test_a_deployment_that_is_not_for_the_caller_is_403_and_recorded_as_its_refused_call(world: World) -> None:
    relay = world.relay(callers=CALLERS, tables={"groups": GROUPS})
    with RawClient(relay.address) as client:
        client.send(chat_request(key="k"))
        answer = client.read_answer()
        assert answer.status == 403
        error = msgspec.json.decode(answer.body)["error"]
        assert (error["type"], error["code"]) == ("permission_error", "not_permitted")
        assert "may not use deployment `gpt-4o`; it may use: gpt-4o-mini" in error["message"]
    [record] = relay.records(1)
    assert (record.outcome, record.status, record.error_code) == ("refused", 403, "not_permitted")
    assert (record.caller, record.tags, record.backend, record.attempts) == ("team", {"tier": "small"}, None, 0)


def test_no_caller_lists_the_files_of_all_where_that_is_refused(world: World) -> None:
    relay = world.relay(callers=CALLERS, tables={"groups": GROUPS}, server={"shared_lists": "refuse"})
    with RawClient(relay.address) as client:
        for key in (KEY, "k"):
            client.send(
                f"GET /openai/files?api-version=2024-10-21 HTTP/1.1\r\nHost: g\r\napi-key: {key}\r\n\r\n".encode()
            )
            answer = client.read_answer()
            assert (answer.status, msgspec.json.decode(answer.body)["error"]["code"]) == (403, "not_permitted")
    assert [(record.caller, record.outcome) for record in relay.records(2)] == [
        ("team-a", "refused"),
        ("team", "refused"),
    ]
