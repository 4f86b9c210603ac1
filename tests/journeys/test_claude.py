"""Claude in Microsoft Foundry through the gateway, called by Anthropic's official SDK: only its address has changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from openai import AzureOpenAI

from support.lazy import lazily
from support.relay_thread import KEY, RelayThread, running_relay
from tokenweir.deployments import DeploymentSettings, TargetSettings
from tokenweir.records import CallRecord
from tokenweir.simulator import HostedSimulator, Script, SimulatorSettings, running_simulator
from tokenweir.upstream import CredentialSettings, UpstreamSettings

if TYPE_CHECKING:
    import anthropic
    from anthropic import Anthropic
else:
    anthropic = lazily("anthropic")

HELLO: list[Any] = [{"role": "user", "content": "Hello, tell me about rivers"}]
MODEL = "claude-sonnet-5-5"


def foundry(name: str, sim: HostedSimulator, key: str = "sk-foundry") -> UpstreamSettings:
    return UpstreamSettings(name, f"{sim.url}/anthropic", CredentialSettings(key=key), kind="anthropic", proxy="")


@pytest.fixture
def sim() -> Iterator[HostedSimulator]:
    with running_simulator(SimulatorSettings(key="sk-foundry")) as simulator:
        yield simulator


@pytest.fixture
def relay(sim: HostedSimulator, tmp_path: Path) -> Iterator[RelayThread]:
    with running_relay(tmp_path, [foundry("claude", sim)]) as running:
        yield running


@contextmanager
def client_of(relay: RelayThread, sdk: str = "Anthropic") -> Iterator[Anthropic]:
    with getattr(anthropic, sdk)(base_url=f"{relay.url}/anthropic", api_key=KEY, max_retries=0) as made:
        yield made


@pytest.fixture
def claude(relay: RelayThread) -> Iterator[Anthropic]:
    with client_of(relay) as made:
        yield made


def counts(record: CallRecord) -> tuple[int, ...]:
    usage = record.usage
    return (
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.total_tokens,
    )


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("sdk", ["Anthropic", "AnthropicFoundry"])
def test_a_message_is_answered_and_recorded(relay: RelayThread, sim: HostedSimulator, sdk: str, streamed: bool) -> None:
    script = Script(output_tokens=30, cached_tokens=4, cache_write_tokens=2)
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 100, "messages": HELLO, "extra_headers": script.headers()}
    with client_of(relay, sdk) as client:
        if streamed:
            with client.messages.stream(**asked) as stream:
                message = stream.get_final_message()
        else:
            message = client.messages.create(**asked)
    record, [sent] = relay.record(), sim.calls

    told = message.usage
    assert told.output_tokens == 30
    read, written = told.cache_read_input_tokens or 0, told.cache_creation_input_tokens or 0
    assert counts(record) == (told.input_tokens + 6, read, written, 30, told.input_tokens + 36)
    assert counts(record) == (sent.prompt_tokens, 4, 2, 30, sent.prompt_tokens + 30)
    assert (record.usage.source, record.usage.reason) == ("reported", None)
    assert record.usage.raw is not None and record.usage.raw["input_tokens"] == told.input_tokens
    assert (record.api, record.operation, record.deployment) == ("messages", "messages", MODEL)
    assert (record.status, record.outcome, record.stream) == (200, "completed", streamed)
    assert (record.response_model, record.finish_reasons) == (MODEL, ["end_turn"])
    assert (record.response_id, record.upstream_request_id) == (message.id, sent.id)
    assert record.path == "/anthropic/v1/messages"
    assert (record.first_token_ms is not None) == streamed


def test_tools_and_counted_tokens_come_through(claude: Anthropic, relay: RelayThread, sim: HostedSimulator) -> None:
    counted = claude.messages.count_tokens(model=MODEL, messages=HELLO)
    tools: Any = [{"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}]
    message = claude.messages.create(
        model=MODEL, max_tokens=99, messages=HELLO, tools=tools, tool_choice={"type": "any"}
    )
    free, paid = relay.records(2)
    assert counted.input_tokens > 0 and message.stop_reason == "tool_use"
    assert (free.api, free.usage.source, free.usage.reason) == ("count_tokens", "none", None)
    assert (paid.usage.source, paid.finish_reasons) == ("reported", ["tool_use"])


def test_a_caller_without_a_key_of_ours_gets_no_further(relay: RelayThread, sim: HostedSimulator) -> None:
    with (
        pytest.raises(anthropic.AuthenticationError),
        anthropic.Anthropic(base_url=f"{relay.url}/anthropic", api_key="sk-foundry", max_retries=0) as stranger,
    ):
        stranger.messages.create(model=MODEL, max_tokens=5, messages=HELLO)
    assert not sim.calls


def test_the_version_of_the_api_is_set_where_a_caller_names_none(relay: RelayThread, sim: HostedSimulator) -> None:
    body = {"model": MODEL, "max_tokens": 5, "messages": HELLO}
    answer = httpx.post(f"{relay.url}/anthropic/v1/messages", json=body, headers={"x-api-key": KEY})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("script", "error", "code"),
    [
        (Script(status=429), "RateLimitError", "rate_limit_error"),
        (Script(status=529), "APIStatusError", "overloaded_error"),
        (Script(status=500), "InternalServerError", "api_error"),
    ],
)
def test_an_answer_without_room_is_passed_on_and_recorded(
    claude: Anthropic, relay: RelayThread, script: Script, error: str, code: str
) -> None:
    with pytest.raises(getattr(anthropic, error)):
        claude.messages.create(model=MODEL, max_tokens=5, messages=HELLO, extra_headers=script.headers())
    record = relay.record()
    assert (record.outcome, record.error_code, record.usage.source) == ("upstream_error", code, "none")


@pytest.mark.parametrize("status", [429, 503, 529])
def test_another_target_has_room(tmp_path: Path, status: int) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(running_simulator()) for _ in range(2))
        deployment = DeploymentSettings(
            "smart", [TargetSettings("one", "claude-opus-5-5"), TargetSettings("two", "claude-haiku-5-5", priority=2)]
        )
        settings = [foundry("one", first), foundry("two", second)]
        relay = stack.enter_context(running_relay(tmp_path, settings, deployments=[deployment]))
        claude = stack.enter_context(client_of(relay))
        asked: dict[str, Any] = {"model": "smart", "max_tokens": 5, "messages": HELLO}
        asked["extra_headers"] = Script(status=status, fail_times=1).headers()
        with (  # each simulator counts for itself; the second one has failed before
            anthropic.Anthropic(base_url=f"{second.url}/anthropic", api_key="any", max_retries=0) as beforehand,
            pytest.raises(anthropic.APIStatusError),
        ):
            beforehand.messages.create(**asked)
        with claude.messages.stream(**asked) as stream:
            message = stream.get_final_message()
        record = relay.record()
    assert message.model == "claude-haiku-5-5"
    assert (record.backend, record.attempts, record.outcome) == ("two", 2, "completed")
    assert record.usage.source == "reported"


def test_an_error_in_the_middle_of_a_stream_is_recorded_with_what_was_told_and_seen(
    claude: Anthropic, relay: RelayThread
) -> None:
    script = Script(output_tokens=50, cached_tokens=4, error_frame_after=20)
    with (
        pytest.raises(anthropic.APIStatusError, match="Overloaded"),
        claude.messages.stream(model=MODEL, max_tokens=99, messages=HELLO, extra_headers=script.headers()) as stream,
    ):
        list(stream)
    record = relay.record()
    assert (record.status, record.outcome, record.error_code) == (200, "upstream_error", "overloaded_error")
    assert record.usage.source == "estimated"
    assert (record.usage.cached_input_tokens, record.usage.output_tokens) == (4, 20)


def test_one_gateway_leads_to_gpt_and_to_claude(tmp_path: Path) -> None:
    with running_simulator() as sim:
        azure = UpstreamSettings("gpt", sim.url, CredentialSettings(key="sk-gpt"), proxy="")
        with running_relay(tmp_path, [azure, foundry("claude", sim)]) as relay, client_of(relay) as claude:
            claude.messages.create(model=MODEL, max_tokens=5, messages=HELLO)
            with AzureOpenAI(azure_endpoint=relay.url, api_key=KEY, api_version="2024-10-21", max_retries=0) as openai:
                openai.chat.completions.create(model="gpt-4o", messages=HELLO)
            assert [(record.api, record.backend) for record in relay.records(2)] == [
                ("messages", "claude"),
                ("chat_completions", "gpt"),
            ]


def test_where_no_claude_is_configured_it_is_said(tmp_path: Path) -> None:
    with running_simulator() as sim, running_relay(tmp_path, sim.url) as relay, client_of(relay) as claude:
        with pytest.raises(anthropic.NotFoundError, match="No upstream of this gateway understands this path"):
            claude.messages.create(model=MODEL, max_tokens=5, messages=HELLO)
        assert not sim.calls
