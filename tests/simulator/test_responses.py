"""The Responses API with the official SDK's own helpers, which check every event against the ones before it."""

from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai import AzureOpenAI, OpenAI
from pydantic import BaseModel

from tokenweir import vocabulary
from tokenweir.simulator import HostedSimulator, Script

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Step(BaseModel):
    explanation: str
    weight: int | None


class Plan(BaseModel):
    title: str
    kind: Literal["long", "short"]
    steps: list[Step]


@pytest.fixture
def client(sim: HostedSimulator) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{sim.url}/openai/v1", api_key="any", max_retries=0) as client:
        yield client


def test_a_response_says_what_the_ledger_says(sim: HostedSimulator, client: OpenAI) -> None:
    script = Script(output_tokens=25, reasoning_tokens=10, cached_tokens=3, cache_write_tokens=2)
    answer = client.responses.create(model="gpt-4o", input="Hello", extra_headers=script.headers())
    assert vocabulary.count(answer.output_text, "o200k_base") == 25
    assert answer.usage is not None
    [call] = sim.calls
    assert (call.api, call.model, call.stream) == ("responses", "gpt-4o-2024-11-20", False)
    assert (call.completion_tokens, call.reasoning_tokens, call.visible_tokens) == (35, 10, 25)
    assert answer.usage.output_tokens == 35
    assert answer.usage.output_tokens_details.reasoning_tokens == 10
    assert answer.usage.input_tokens_details.cached_tokens == call.cached_tokens == 3
    assert call.cache_write_tokens == 2
    assert [item.type for item in answer.output] == ["reasoning", "message"]


def test_a_stream_is_read_by_the_sdk_to_its_end(sim: HostedSimulator, client: OpenAI) -> None:
    with client.responses.stream(
        model="gpt-4o", input="Hello", extra_headers=Script(output_tokens=40, reasoning_tokens=5).headers()
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text
    [call] = sim.calls
    assert final.usage is not None
    assert (call.completion_tokens, call.usage_sent, call.finished) == (final.usage.output_tokens, True, True)


@pytest.mark.parametrize("streamed", [False, True])
def test_structured_output_fits_its_schema(client: OpenAI, streamed: bool) -> None:
    asked: Any = {"model": "gpt-4o", "input": "Plan!", "extra_headers": Script(output_tokens=60).headers()}
    if streamed:
        with client.responses.stream(text_format=Plan, **asked) as stream:
            answer = stream.get_final_response()
    else:
        answer = client.responses.parse(text_format=Plan, **asked)
    plan = answer.output_parsed
    assert plan is not None
    assert (plan.kind, len(plan.steps)) == ("long", 1)
    assert answer.usage is not None
    assert abs(answer.usage.output_tokens - 60) <= 2
    assert vocabulary.count(answer.output_text, "o200k_base") == answer.usage.output_tokens


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_in_parallel(client: OpenAI, streamed: bool) -> None:
    asked: Any = {"model": "gpt-4o", "input": "Weather?", "tools": [WEATHER]}
    asked["extra_headers"] = Script(tool_calls=2).headers()
    if streamed:
        with client.responses.stream(**asked) as stream:
            answer: Any = stream.get_final_response()
    else:
        answer = client.responses.parse(**asked)
    assert [(item.type, item.name) for item in answer.output] == [("function_call", "get_weather")] * 2
    assert answer.output[0].parsed_arguments["city"]
    assert len({item.call_id for item in answer.output}) == len({item.id for item in answer.output}) == 2


def test_a_call_and_its_result_go_on_in_the_next_response(client: OpenAI) -> None:
    first = client.responses.create(model="gpt-4o", input="Weather?", tools=[WEATHER], tool_choice="required")
    [called] = first.output
    assert called.type == "function_call"
    output: Any = {"type": "function_call_output", "call_id": called.call_id, "output": "Sunny."}
    second = client.responses.create(model="gpt-4o", input=[output], previous_response_id=first.id, tools=[WEATHER])
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    assert second.output_text
    items = client.responses.input_items.list(second.id).data
    assert [item.type for item in items] == ["message", "function_call", "function_call_output"]


def test_custom_tools_are_called_with_text(client: OpenAI) -> None:
    tool: Any = {"type": "custom", "name": "run", "description": "Runs code."}
    with client.responses.stream(
        model="gpt-5", input="Go", tools=[tool], extra_headers=Script(tool_calls=1).headers()
    ) as stream:
        [item] = stream.get_final_response().output
    assert item.type == "custom_tool_call"
    assert (item.name, item.input) == ("run", "Water")


def test_built_in_tools_are_counted(sim: HostedSimulator, client: OpenAI) -> None:
    tools: Any = [{"type": "web_search_preview"}, {"type": "file_search", "vector_store_ids": ["vs"]}]
    with client.responses.stream(
        model="gpt-4o", input="News?", tools=tools, extra_headers=Script(server_tool_calls=2).headers()
    ) as stream:
        kinds = [item.type for item in stream.get_final_response().output]
    assert kinds == ["web_search_call"] * 2 + ["file_search_call"] * 2 + ["message"]
    assert sim.calls[0].quantities == {"web_searches": 2, "file_searches": 2}


def test_a_refusal_has_a_part_of_its_own(client: OpenAI) -> None:
    asked: Any = {"model": "gpt-4o", "input": "Plan!", "extra_headers": Script(refusal=True).headers()}
    answer = client.responses.parse(text_format=Plan, **asked)
    assert answer.output_parsed is None
    with client.responses.stream(**asked) as stream:
        [message] = stream.get_final_response().output
    assert message.type == "message"
    assert message.content[0].type == "refusal"


def test_log_probabilities_are_told_where_asked_for(client: OpenAI) -> None:
    answer = client.responses.create(
        model="gpt-4o", input="Hello", include=["message.output_text.logprobs"], top_logprobs=2
    )
    [message] = answer.output
    assert message.type == "message"
    [part] = message.content
    assert part.type == "output_text"
    assert "".join(told.token for told in part.logprobs or ()) == part.text
    assert {len(told.top_logprobs) for told in part.logprobs or ()} == {2}


def test_a_limit_leaves_a_response_incomplete(sim: HostedSimulator, client: OpenAI) -> None:
    answer = client.responses.create(model="gpt-4o", input="Hello", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert sim.calls[0].completion_tokens == 16


def test_a_background_response_is_charged_when_it_is_seen_done(sim: HostedSimulator, client: OpenAI) -> None:
    begun = client.responses.create(
        model="gpt-4o", input="Hello", background=True, extra_headers=Script(output_tokens=30, polls=2).headers()
    )
    seen = [client.responses.retrieve(begun.id) for _ in range(4)]
    assert [begun.status, *(answer.status for answer in seen)] == [
        "queued",
        "in_progress",
        "in_progress",
        "completed",
        "completed",
    ]
    assert [call.completion_tokens for call in sim.calls] == [0, 0, 0, 30, 0]
    assert seen[-1].usage is not None
    assert seen[-1].usage.output_tokens == 30


def test_a_cancelled_one_uses_nothing(sim: HostedSimulator, client: OpenAI) -> None:
    begun = client.responses.create(model="gpt-4o", input="Hello", background=True)
    assert client.responses.cancel(begun.id).status == "cancelled"
    assert client.responses.retrieve(begun.id).usage is None
    assert {call.completion_tokens for call in sim.calls} == {0}


def test_a_background_stream_goes_on_without_its_reader(sim: HostedSimulator, client: OpenAI) -> None:
    script = Script(output_tokens=500, chunk_delay=0.01, close_after=3)  # type: ignore[arg-type]
    with (
        pytest.raises(openai.APIConnectionError),
        client.responses.create(
            model="gpt-4o", input="Hello", background=True, stream=True, extra_headers=script.headers()
        ) as stream,
    ):
        for event in stream:
            if event.type == "response.created":
                id = event.response.id
    whole = client.responses.retrieve(id)
    assert whole.usage is not None
    assert [call.completion_tokens for call in sim.wait_for_calls(2)] == [500, 0]
    with client.responses.retrieve(id, stream=True, starting_after=4) as rest:
        assert [event.type for event in rest] == ["response.completed"]


def test_a_stored_response_can_be_deleted_and_is_gone(client: OpenAI) -> None:
    answer = client.responses.create(model="gpt-4o", input="Hello")
    client.responses.delete(answer.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="gpt-4o", input="And?", previous_response_id=answer.id)


def test_input_tokens_are_those_of_the_response(sim: HostedSimulator, client: OpenAI) -> None:
    asked: Any = {"model": "gpt-4o", "input": "Hello there", "instructions": "Be brief."}
    counted = client.responses.input_tokens.count(**asked)
    answer = client.responses.create(**asked)
    assert answer.usage is not None
    assert counted.input_tokens == answer.usage.input_tokens
    assert sim.calls[0].prompt_tokens == 0


def test_compaction_says_what_it_used(sim: HostedSimulator, client: OpenAI) -> None:
    made = client.responses.compact(model="gpt-4o", input="Hello there")
    assert [item.type for item in made.output] == ["compaction"]
    assert made.usage.output_tokens == sim.calls[0].completion_tokens > 0


def test_dated_azure_addresses_and_faults_hold_here_too(sim: HostedSimulator, azure: AzureOpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as throttled:
        azure.responses.create(model="gpt-4o", input="Hi", extra_headers=Script(status=429).headers())
    assert throttled.value.response.headers["retry-after"] == "1"
    script = Script(error_frame_after=2)
    with azure.responses.create(model="gpt-4o", input="Hi", stream=True, extra_headers=script.headers()) as stream:
        assert [event.type for event in stream][-1] == "error"
    assert [(call.status, call.completion_tokens) for call in sim.wait_for_calls(2)] == [(429, 0), (200, 2)]
