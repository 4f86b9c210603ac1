"""Days on which a target of a pool is busy, silent, gone or half well: calls go on, and no other one waits for it."""

import threading
from pathlib import Path
from typing import Any

import pytest
from openai import AzureOpenAI, InternalServerError, RateLimitError

from support.raw_client import Answer, RawClient, chat_request, get_request, upload_head
from support.relay_thread import KEY, RelayThread
from support.scripted import Line, Play
from support.servers import closed_port, silent_port
from support.streams import DONE, LAST_CHUNK, STREAM_HEAD, USAGE, answer, chunked, frame
from support.websocket_frames import SWITCHED, asks
from support.world import World
from tokenweir.deployments import BreakerSettings, Catalogue, DeploymentSettings, PoolTarget, TargetSettings
from tokenweir.errors import UpstreamUnreachable
from tokenweir.policy import hash_key
from tokenweir.providers import ProviderKind
from tokenweir.records import Duration
from tokenweir.upstream import Endpoint
from tokenweir.upstream.lookup import Lookup

BUSY = b'{"error":{"code":"429","message":"later"}}'
FINE = b'{"id":"a","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}'


def saying(told: bytes) -> Play:
    def play(line: Line) -> None:
        while True:
            line.read_request()
            line.send(told)

    return play


def busy(*lines: str) -> Play:
    return saying(answer(BUSY, *lines, status="429 Too Many Requests"))


def ask(relay: RelayThread, **asked: Any) -> Answer:
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", **asked))
        return client.read_answer()


def members(relay: RelayThread) -> list[PoolTarget]:
    return relay.process.data_plane.services.catalogue.pool("faulty", "deployments").members


# --- silent and gone ---


def test_a_connect_that_hangs_holds_no_call_for_longer_than_the_first_detection(world: World) -> None:
    """Without that, each call would run into ``connect_timeout``, and this test into its own."""
    with silent_port() as port:
        relay = world.relay(
            f"http://127.0.0.1:{port}",
            then_sim=True,
            upstream_settings={"connect_timeout": Duration(3600)},
            pool={"breaker": BreakerSettings(connect_within=Duration(0.05), trip=Duration(3600))},
        )
        assert [ask(relay).status for _ in range(20)] == [200] * 20
        records = relay.records(20)
        assert {(record.outcome, record.backend, record.attempts) for record in records} == {("completed", "sim", 1)}
        assert relay.journal.upstream_errors == {"faulty-0": {"upstream_unreachable": 1}}  # by the first one alone


def test_calls_that_wait_for_the_same_target_move_on_together(world: World) -> None:
    with silent_port() as port:
        relay = world.relay(
            f"http://127.0.0.1:{port}",
            then_sim=True,
            pool={"breaker": BreakerSettings(connect_within=Duration(3600), trip=Duration(3600))},
            upstream_settings={"connect_timeout": Duration(3600)},
        )
        answers: list[Answer] = []
        threads = [threading.Thread(target=lambda: answers.append(ask(relay))) for _ in range(8)]
        for thread in threads:
            thread.start()
        relay.until(lambda: len(members(relay)[0].health.waiting) == 8)
        relay.inside(lambda: members(relay)[0].health.tell_waiting(UpstreamUnreachable("as one has found out")))
        for thread in threads:
            thread.join()
        assert [one.status for one in answers] == [200] * 8
        relay.until(lambda: not members(relay)[0].health.waiting)
        assert len(relay.records(8)) == 8


def test_a_host_whose_name_is_gone_is_asked_once_and_then_tried_by_the_gateway_alone(world: World) -> None:
    relay = world.relay("http://no-such-host.invalid", then_sim=True)
    assert [ask(relay).status for _ in range(3)] == [200, 200, 200]
    assert relay.journal.upstream_errors == {"faulty-0": {"upstream_unreachable": 1}}
    assert members(relay)[0].breaker.reason == "upstream_unreachable"
    assert {record.backend for record in relay.records(3)} == {"sim"}


def test_a_target_that_can_be_reached_again_is_found_without_a_call(world: World) -> None:
    relay = world.relay(f"http://127.0.0.1:{closed_port()}", then_sim=True)
    assert ask(relay).status == 200
    upstream = world.upstream(saying(answer(FINE)))
    member = members(relay)[0]
    port = int(upstream.url.rpartition(":")[2])
    pool = relay.process.data_plane.services.upstreams["faulty-0"].pool
    assert not member.breaker.is_closed
    pool._endpoint, pool._lookup = Endpoint.parse(upstream.url), Lookup("127.0.0.1", port)

    def is_found() -> bool:
        relay.process.data_plane.sweep()
        return member.breaker.is_closed

    relay.until(is_found)
    assert ask(relay).status == 200
    assert [record.backend for record in relay.records(2)] == ["sim", "faulty-0"]


def test_a_target_that_takes_calls_and_never_answers_loses_them_to_the_next(world: World) -> None:
    asked = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        asked.set()
        line.wait_closed()

    upstream = world.upstream(play)
    relay = world.relay(
        upstream, then_sim=True, pool={"breaker": BreakerSettings(failures=1, answer_within=Duration(5))}
    )
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        assert asked.wait(20)
        relay.until(lambda: [call for call in relay.process.data_plane.calls if call.timings.sent])
        relay.jump(4.5)
        assert relay.inside(lambda: len(relay.process.data_plane.calls)) == 1
        relay.jump(1)
        assert client.read_answer().status == 200
        upstream.wait_for_end()  # it is told that nobody waits any more
    assert ask(relay).status == 200
    first, second = relay.records(2)
    assert (first.outcome, first.backend, first.attempts) == ("completed", "sim", 2)
    assert first.usage.source == "reported"
    assert first.usage.quantities["abandoned_requests"].amount == 1  # what that one used, nobody knows
    assert (second.backend, second.attempts) == ("sim", 1)
    assert second.usage.quantities == {}


def test_a_call_whose_client_has_left_is_read_on_and_not_made_again(world: World) -> None:
    asked, fine = threading.Event(), threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        asked.set()
        fine.wait(20)
        line.send(answer(FINE))

    relay = world.relay(
        world.upstream(play),
        then_sim=True,
        server={"on_client_gone": "drain"},
        pool={"breaker": BreakerSettings(answer_within=Duration(5))},
    )
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty"))
        assert asked.wait(20)
        relay.until(lambda: [call for call in relay.process.data_plane.calls if call.timings.sent])
    relay.until(lambda: [call for call in relay.process.data_plane.calls if call.phase.name == "DRAINING"])
    relay.jump(6)
    fine.set()
    record = relay.record()
    assert (record.outcome, record.attempts, record.backend) == ("client_gone", 1, "faulty-0")
    assert (record.usage.source, record.usage.total_tokens) == ("reported", 16)


# --- busy ---


def test_with_one_of_three_busy_and_one_silent_every_call_succeeds(world: World) -> None:
    with silent_port() as port:
        relay = world.relay(
            world.upstream(busy("retry-after: 30")),
            f"http://127.0.0.1:{port}",
            then_sim=True,
            pool={"breaker": BreakerSettings(connect_within=Duration(0.05), trip=Duration(3600))},
        )
        assert [ask(relay).status for _ in range(30)] == [200] * 30
        assert sum(record.attempts for record in relay.records(30)) == 31  # one call saw the 429


@pytest.mark.parametrize(
    ("lines", "wait"),
    [
        (["retry-after: 7"], 7.0),
        (["retry-after-ms: 1500", "retry-after: 60"], 1.5),
        (["retry-after: Thu, 01 Jan 2026 00:00:20 GMT", "date: Thu, 01 Jan 2026 00:00:00 GMT"], 20.0),
        (["retry-after: Thu, 01 Jan 1970 00:00:20 GMT"], 10.0),
        (["retry-after: 31536000"], 60.0),
        (["retry-after: soon"], 10.0),
        ([], 10.0),
        (["x-ratelimit-reset-tokens: 12"], 12.0),
    ],
)
def test_a_busy_target_is_left_alone_for_as_long_as_it_says_within_reason(
    world: World, lines: list[str], wait: float
) -> None:
    relay = world.relay(world.upstream(busy(*lines)), then_sim=True)
    assert ask(relay).status == 200
    member = members(relay)[0]
    left = relay.inside(lambda: member.breaker.wait(relay.clock.monotonic()))
    assert 0.0 < left <= wait
    relay.jump(wait)
    assert relay.inside(lambda: member.breaker.lets(relay.clock.monotonic()))
    assert [ask(relay).status, relay.records(2)[1].attempts] == [200, 2]


def test_when_all_targets_are_busy_the_first_to_find_out_hears_it_as_it_is_and_the_next_when_to_come_back(
    world: World,
) -> None:
    relay = world.relay(world.upstream(busy("retry-after: 50")), world.upstream(busy("retry-after: 40")))
    told = ask(relay)
    assert (told.status, told.body, told.fields["retry-after"]) == (429, BUSY, "40")
    told = ask(relay)
    assert (told.status, told.error["code"], told.error["type"]) == (503, "no_target_available", "upstream_error")
    assert 1 <= int(told.fields["retry-after"]) <= 40
    first, second = relay.records(2)
    assert (first.outcome, first.status, first.attempts) == ("upstream_error", 429, 2)
    assert (second.outcome, second.status, second.error_code) == ("upstream_error", 503, "no_target_available")
    assert (second.attempts, second.backend, second.usage.source) == (0, None, "none")
    assert second.trace is not None
    assert [(target.priority, target.left_alone) for target in second.trace.targets] == [(0, "429"), (1, "429")]
    relay.jump(41)
    assert ask(relay).status == 503  # whose time has come is asked again; and the other one's comes sooner now
    assert (relay.records(3)[2].backend, relay.records(3)[2].attempts) == ("faulty-1", 1)


def test_the_official_sdk_raises_what_it_is_told(world: World) -> None:
    relay = world.relay(world.upstream(busy("retry-after: 50")), world.upstream(busy("retry-after: 40")))
    with AzureOpenAI(azure_endpoint=relay.url, api_key=KEY, api_version="2024-10-21", max_retries=0) as client:
        for kind, seconds in ((RateLimitError, 40), (InternalServerError, 40)):
            with pytest.raises(kind) as raised:
                client.chat.completions.create(model="faulty", messages=[{"role": "user", "content": "hi"}])
            assert 0 < int(raised.value.response.headers["retry-after"]) <= seconds
        assert raised.value.code == "no_target_available"
    assert [record.status for record in relay.records(2)] == [429, 503]


def test_a_long_time_to_wait_is_not_passed_on_where_another_target_comes_back_sooner(world: World) -> None:
    """SDKs give up at once where they are told to wait for minutes."""
    relay = world.relay(world.upstream(busy("retry-after: 20")), world.upstream(busy("retry-after: 86400")))
    told = ask(relay)
    assert (told.status, told.error["code"], told.fields["retry-after"]) == (503, "no_target_available", "20")
    record = relay.record()
    assert (record.status, record.attempts, record.backend) == (503, 2, "faulty-1")
    assert record.trace is not None
    assert [attempt.status for attempt in record.trace.attempts] == [429, 429]


def test_how_each_target_is_can_be_seen_from_outside(world: World) -> None:
    limits = ["x-ratelimit-remaining-tokens: 900"]
    relay = world.relay(
        world.upstream(busy("retry-after: 50", "x-ratelimit-remaining-tokens: 0")),
        world.upstream(saying(answer(FINE, *limits))),
        tracing={"sample": 1.0},
    )
    assert [ask(relay).status for _ in range(2)] == [200, 200]
    relay.inside(relay.process._publish)
    busy_one, other = relay.journal.targets
    assert (busy_one.breaker, busy_one.reason, busy_one.calls, busy_one.failovers) == ("open", "429", 1, 1)
    assert 0 < busy_one.wait_seconds <= 50
    assert (other.breaker, other.reason, other.calls, other.spillovers) == ("closed", None, 2, 2)
    first, second = relay.records(2)
    assert first.trace is not None and second.trace is not None
    assert [attempt.before for attempt in first.trace.attempts] == [[], []]
    assert [attempt.before for attempt in second.trace.attempts] == [[("x-ratelimit-remaining-tokens", "900")]]
    assert [target.left_alone for target in second.trace.targets] == ["429", None]


def test_a_target_that_answers_200_and_breaks_every_stream_is_left_alone(world: World) -> None:
    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("one")))

    relay = world.relay(world.upstream(play), then_sim=True, pool={"breaker": BreakerSettings(failures=2)})
    for _ in range(2):
        with RawClient(relay.address) as client:
            client.send(chat_request(deployment="faulty", stream=True))
            assert client.read_head()[0] == 200
            with pytest.raises(EOFError):
                while client.read_chunk():
                    pass
    relay.until(lambda: not members(relay)[0].breaker.is_closed)
    assert ask(relay, stream=True).status == 200
    told = sorted((record.outcome, record.backend) for record in relay.records(3))
    assert told == [("completed", "sim"), ("upstream_broken", "faulty-0"), ("upstream_broken", "faulty-0")]


def test_a_failure_everywhere_does_not_multiply_the_load(world: World) -> None:
    asked = [0, 0]

    def failing(number: int) -> Play:
        def play(line: Line) -> None:
            while True:
                line.read_request()
                asked[number] += 1
                line.send(answer(b"{}", status="500 Internal Server Error"))

        return play

    never = BreakerSettings(trip=Duration(0))
    relay = world.relay(world.upstream(failing(0)), world.upstream(failing(1)), pool={"breaker": never, "retries": 0.1})
    with RawClient(relay.address) as client:
        for _ in range(300):
            client.send(chat_request(deployment="faulty"))
            assert client.read_answer().status == 500
    assert asked[0] == 300
    assert 120 <= asked[1] <= 135
    assert sum(record.attempts for record in relay.records(300)) == sum(asked)


# --- drained, chosen once, found again ---


def test_a_drained_target_gets_no_call_while_its_stream_runs_on_and_its_breaker_is_kept(
    world: World, tmp_path: Path
) -> None:
    resume = threading.Event()

    def play(line: Line) -> None:
        line.read_request()
        line.send(STREAM_HEAD + chunked(frame("before")))
        resume.wait(20)
        line.send(chunked(frame("after"), USAGE, DONE) + LAST_CHUNK)

    streaming = world.upstream(play)
    throttled = world.upstream(busy("retry-after: 50"))
    config = tmp_path / "tokenweir.toml"
    relay = world.relay(throttled, streaming, then_sim=True, config_path=config)
    with RawClient(relay.address) as client:
        client.send(chat_request(deployment="faulty", stream=True))
        assert client.read_head()[0] == 200
        assert client.read_chunk() == frame("before")
        config.write_text(_configured(world.sim.url, throttled.url, streaming.url, "drain = true"))
        relay.inside(relay.process.reload)
        assert [ask(relay).status for _ in range(3)] == [200] * 3
        before = relay.process.data_plane.services.catalogue
        config.write_text(_configured(world.sim.url, throttled.url, streaming.url, "weight = -1"))
        relay.inside(relay.process.reload)
        (logged,) = world.errors.taken()
        assert "the old one stays" in logged and '[[deployments]] "faulty" targets #2 weight: is -1' in logged
        assert relay.process.data_plane.services.catalogue is before
        resume.set()
        rest = b""
        while piece := client.read_chunk():
            rest += piece
        assert rest == frame("after") + DONE
    backends = [record.backend for record in relay.records(4)]
    assert backends == ["sim", "sim", "sim", "faulty-1"]
    assert throttled.failures == [] and members(relay)[0].breaker.trips == 1  # never asked again


def _configured(sim: str, busy_url: str, streaming_url: str, second: str) -> str:
    upstreams = [("sim", sim), ("faulty-0", busy_url), ("faulty-1", streaming_url)]
    tables = [
        f'[[upstreams]]\nname = "{name}"\nendpoint = "{url}"\ncredential = {{ key = "upstream-key" }}'
        for name, url in upstreams
    ]
    tables.append(f'[[callers]]\nname = "team-a"\nkey_sha256 = "{hash_key(KEY)}"')
    tables.append('[[deployments]]\nname = "gpt-4o"\ntargets = [{ upstream = "sim" }]')
    tables.append(
        '[[deployments]]\nname = "faulty"\ntargets = [\n{ upstream = "faulty-0", priority = 0 },\n'
        f'{{ upstream = "faulty-1", priority = 1, {second} }},\n{{ upstream = "sim", priority = 2 }},\n]'
    )
    return "\n".join(tables)


def test_an_upload_goes_to_one_target_which_the_pool_has_chosen(world: World) -> None:
    relay = world.relay(world.upstream(busy("retry-after: 9")), then_sim=True)
    with RawClient(relay.address) as client:
        client.send(upload_head(5, deployment="faulty") + b"12345")
        assert client.read_answer().status == 429  # it has begun, so it is not made twice
        client.send(upload_head(5, deployment="faulty") + b"12345")
        client.read_answer()
    first, second = relay.records(2)
    assert (first.backend, first.attempts) == ("faulty-0", 1)
    assert (second.backend, second.attempts) == ("sim", 1)  # the next one does not go where there is no room


def test_what_was_made_at_a_target_is_found_there_though_it_is_drained_or_left_alone(world: World) -> None:
    made = b'{"id":"resp_1","object":"response","background":true,"status":"queued"}'

    def play(line: Line) -> None:
        while True:
            head, _ = line.read_request()
            is_asked_for = head.startswith(b"get /openai/v1/responses/resp_1")
            line.send(answer(made) if is_asked_for else answer(BUSY, "retry-after: 50", status="429 Too Many"))

    relay = world.relay(world.upstream(saying(answer(b"{}", status="404 Not Found"))), world.upstream(play))
    ask(relay)
    services = relay.process.data_plane.services
    deployments = [
        DeploymentSettings("gpt-4o", [TargetSettings("sim")]),
        DeploymentSettings("faulty", [TargetSettings("faulty-0"), TargetSettings("faulty-1", drain=True)]),
    ]
    kinds: dict[str, ProviderKind] = {"faulty-0": "azure", "faulty-1": "azure", "sim": "azure"}
    catalogue = Catalogue(deployments, kinds, relay.clock, services.catalogue, kinds)
    relay.process.data_plane.configure(catalogue=catalogue)
    with RawClient(relay.address) as client:
        client.send(get_request("/openai/v1/responses/resp_1"))
        told = client.read_answer()
    assert (told.status, told.body) == (200, made)
    record = relay.records(2)[1]
    assert (record.backend, record.attempts, record.job_id) == ("faulty-1", 2, "resp_1")


def test_a_websocket_is_chosen_once_and_goes_where_there_is_room(world: World) -> None:
    def play(line: Line) -> None:
        line.read_head()
        line.send(answer(BUSY, "retry-after: 9", status="429 Too Many Requests"))

    def switching(line: Line) -> None:
        line.read_head()
        line.send(SWITCHED + b"\r\n")
        line.wait_closed()

    relay = world.relay(world.upstream(play), world.upstream(switching))
    for _ in range(2):
        with RawClient(relay.address) as client:
            client.send(asks("/openai/v1/realtime?model=faulty"))
            assert client.read_head()[0] == 101
    told = [(record.backend, record.attempts) for record in relay.records(2)]
    assert told == [("faulty-1", 2), ("faulty-1", 1)]


def test_a_conversation_goes_on_where_its_response_is_stored(world: World) -> None:
    told = b'{"error":{"message":"none","type":"invalid_request_error","param":"x","code":"%b"}}'
    asked = b'{"model":"faulty","input":"and then?","previous_response_id":"resp_1"}'
    used = b'{"input_tokens":3,"output_tokens":4,"total_tokens":7}'
    fine = b'{"id":"resp_2","object":"response","status":"completed","usage":%b}' % used
    codes = [b"previous_response_not_found", b"context_length_exceeded"]
    relay = world.relay(*(world.upstream(saying(answer(told % code, status="400 Bad Request"))) for code in codes))
    other = world.relay(
        world.upstream(saying(answer(told % codes[0], status="400 Bad Request"))),
        world.upstream(saying(answer(fine))),
        folder=world.folder / "other",
    )
    answers = []
    for one in (relay, other):
        with RawClient(one.address) as client:
            client.send(
                b"POST /openai/v1/responses HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
                b"api-key: %b\r\ncontent-length: %d\r\n\r\n%b" % (KEY.encode(), len(asked), asked)
            )
            answers.append(client.read_answer())
    assert (answers[0].status, answers[0].error["code"]) == (400, "context_length_exceeded")  # said by who has it
    assert (answers[1].status, answers[1].body) == (200, fine)
    for one in (relay, other):
        assert (one.record().attempts, one.record().backend) == (2, "faulty-1")
        assert members(one)[0].breaker.is_closed  # it is well


def test_sessions_stay_with_their_target(world: World) -> None:
    def named(name: bytes) -> Play:
        return saying(answer(FINE, f"x-target: {name.decode()}"))

    relay = world.relay(world.upstream(named(b"0")), world.upstream(named(b"1")))
    targets = [TargetSettings("faulty-0"), TargetSettings("faulty-1")]
    relay.process.data_plane.configure(
        catalogue=Catalogue(
            [
                DeploymentSettings("gpt-4o", [TargetSettings("sim")]),
                DeploymentSettings("faulty", targets, affinity=["header:x-session-id"]),
            ],
            {"sim": "azure", "faulty-0": "azure", "faulty-1": "azure"},
            relay.clock,
        )
    )
    seen: dict[int, set[str]] = {}
    with RawClient(relay.address) as client:
        for number in range(40):
            session = number % 10
            client.send(chat_request(None, f"x-session-id: s{session}", deployment="faulty"))
            seen.setdefault(session, set()).add(client.read_answer().fields["x-target"])
    assert all(len(targets) == 1 for targets in seen.values())
    assert set.union(*seen.values()) == {"0", "1"}
    assert len(relay.records(40)) == 40
