"""Anthropic's official SDK talks to the simulator as it would to Claude in Microsoft Foundry."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AnthropicFoundry

from tokenweir import vocabulary
from tokenweir.simulator import HostedSimulator, Script, SimulatorSettings, running_simulator

HELLO: list[Any] = [{"role": "user", "content": "Hello, tell me about rivers"}]
WEATHER: list[Any] = [
    {
        "name": "get_weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


@pytest.fixture
def claude(sim: HostedSimulator) -> Iterator[Anthropic]:
    with Anthropic(base_url=f"{sim.url}/anthropic", api_key="any", max_retries=0) as client:
        yield client


def test_a_message_is_answered_and_entered_in_the_book(sim: HostedSimulator, claude: Anthropic) -> None:
    message = claude.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=100,
        messages=HELLO,
        system="Be brief.",
        extra_headers=Script(output_tokens=25, cached_tokens=4, cache_write_tokens=3).headers(),
    )
    [call] = sim.calls
    assert vocabulary.count(message.content[0].text, "o200k_base") == 25  # type: ignore[union-attr]
    assert (message.model, message.stop_reason) == ("claude-sonnet-5-5", "end_turn")
    usage = message.usage
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (4, 3)
    assert usage.input_tokens == call.prompt_tokens - 7
    assert usage.output_tokens == call.completion_tokens == 25
    assert (call.api, call.stream, call.usage_sent, call.finished) == ("messages", False, True, True)


def test_a_streamed_message_grows_to_the_same(sim: HostedSimulator, claude: Anthropic) -> None:
    with claude.messages.stream(
        model="claude-opus-5-5", max_tokens=40, messages=HELLO, extra_headers=Script(output_tokens=400).headers()
    ) as stream:
        names = [event.type for event in stream]
        message = stream.get_final_message()
    assert names[0] == "message_start" and names[-1] == "message_stop"
    assert vocabulary.count(message.content[0].text, "o200k_base") == 40  # type: ignore[union-attr]
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 40)
    [call] = sim.calls
    assert (call.stream, call.visible_tokens, call.usage_sent) == (True, 40, True)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called(claude: Anthropic, streamed: bool) -> None:
    asked: dict[str, Any] = {"model": "claude", "max_tokens": 99, "messages": HELLO, "tools": WEATHER}
    asked["tool_choice"] = {"type": "any"}
    if streamed:
        with claude.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = claude.messages.create(**asked)
    assert message.stop_reason == "tool_use"
    [block] = message.content
    assert block.type == "tool_use" and block.name == "get_weather" and list(block.input) == ["city"]


def test_tokens_are_counted_and_cost_nothing(sim: HostedSimulator, claude: Anthropic) -> None:
    counted = claude.messages.count_tokens(model="claude-sonnet-5-5", messages=HELLO)
    message = claude.messages.create(model="claude-sonnet-5-5", max_tokens=5, messages=HELLO)
    assert counted.input_tokens == message.usage.input_tokens
    assert [call.prompt_tokens for call in sim.calls] == [0, counted.input_tokens]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (Script(status=429, retry_after=3), anthropic.RateLimitError),  # type: ignore[arg-type]
        (Script(status=529), anthropic.APIStatusError),
        (Script(status=403), anthropic.PermissionDeniedError),
    ],
)
def test_it_refuses_in_anthropics_words(claude: Anthropic, script: Script, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        claude.messages.create(model="claude", max_tokens=5, messages=HELLO, extra_headers=script.headers())
    body: Any = caught.value.body  # type: ignore[attr-defined]
    types = {429: "rate_limit_error", 529: "overloaded_error", 403: "permission_error"}
    assert body["type"] == "error" and body["error"]["type"] == types[script.status or 0]


def test_a_stream_can_end_in_an_error_event(claude: Anthropic) -> None:
    with (
        pytest.raises(anthropic.APIStatusError, match="Overloaded"),
        claude.messages.stream(
            model="claude", max_tokens=50, messages=HELLO, extra_headers=Script(error_frame_after=2).headers()
        ) as stream,
    ):
        list(stream)


def test_a_key_may_be_asked_for() -> None:
    with running_simulator(SimulatorSettings(key="sk-claude")) as sim:
        for given, is_let_in in (("sk-claude", True), ("sk-wrong", False)):
            client = AnthropicFoundry(base_url=f"{sim.url}/anthropic", api_key=given, max_retries=0)
            if is_let_in:
                client.messages.create(model="claude", max_tokens=5, messages=HELLO)
            else:
                with pytest.raises(anthropic.AuthenticationError):
                    client.messages.create(model="claude", max_tokens=5, messages=HELLO)


def test_what_is_missing_is_said(claude: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: Field required"):
        claude.post("/v1/messages", cast_to=object, body={"model": "claude", "messages": HELLO})


SEARCH: Any = {"type": "web_search_20250305", "name": "web_search"}


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_searches_and_long_caches_are_told(sim: HostedSimulator, claude: Anthropic, streamed: bool) -> None:
    script = Script(
        output_tokens=20, reasoning_tokens=50, server_tool_calls=2, cache_write_tokens=6, cache_write_1h_tokens=4
    )
    asked: Any = {"model": "claude-opus-5-5", "max_tokens": 500, "messages": HELLO, "tools": [SEARCH]}
    asked |= {"thinking": {"type": "enabled", "budget_tokens": 1024}, "extra_headers": script.headers()}
    if streamed:
        with claude.messages.stream(**asked) as stream:
            message: Any = stream.get_final_message()
    else:
        message = claude.messages.create(**asked)
    searched = ["server_tool_use", "web_search_tool_result"] * 2
    assert [block.type for block in message.content] == ["thinking", *searched, "text"]
    assert message.content[0].thinking and message.content[0].signature
    usage = message.usage
    assert (usage.output_tokens, usage.server_tool_use.web_search_requests) == (70, 2)
    assert usage.output_tokens_details.thinking_tokens == 50
    assert usage.cache_creation.ephemeral_1h_input_tokens == 4
    assert usage.cache_creation.ephemeral_5m_input_tokens == 2
    [call] = sim.calls
    assert (call.completion_tokens, call.reasoning_tokens, call.cache_write_tokens) == (70, 50, 6)
    assert call.quantities == {"web_searches": 2, "cache_write_5m_tokens": 2, "cache_write_1h_tokens": 4}


def test_what_was_not_asked_to_think_does_not(sim: HostedSimulator, claude: Anthropic) -> None:
    message = claude.messages.create(
        model="claude-opus-5-5", max_tokens=50, messages=HELLO, extra_headers=Script(reasoning_tokens=9).headers()
    )
    assert [block.type for block in message.content] == ["text"]
    assert sim.calls[0].reasoning_tokens == 0
