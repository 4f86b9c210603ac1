"""The official SDK talks to the simulator over real sockets, as it would to Azure."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
import uvloop
from openai import AsyncAzureOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

from tokenweir import vocabulary
from tokenweir.records import Duration
from tokenweir.simulator import (
    HostedSimulator,
    Script,
    Simulator,
    SimulatorSettings,
    running_simulator,
)

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
Run = Callable[..., Any]


def test_a_chat_is_answered_and_entered_in_the_book(sim: HostedSimulator, azure: AzureOpenAI) -> None:
    answer = azure.chat.completions.with_raw_response.create(
        model="gpt-4o",
        messages=HELLO,
        extra_headers={**Script(output_tokens=25).headers(), "x-client-request-id": "mine"},
    )
    said = answer.parse()
    assert vocabulary.count(said.choices[0].message.content or "", "o200k_base") == 25
    assert said.usage is not None
    [call] = sim.calls
    assert call.id == answer.headers["x-request-id"]
    assert call.client_request_id == "mine"
    assert (call.api, call.deployment, call.model) == ("chat_completions", "gpt-4o", said.model)
    assert (call.status, call.stream, call.finished, call.usage_sent) == (200, False, True, True)
    assert call.prompt_tokens == said.usage.prompt_tokens
    assert call.completion_tokens == call.visible_tokens == 25
    assert call.started <= call.ended


def test_a_streamed_chat_is_answered_and_entered_in_the_book(sim: HostedSimulator, azure: AzureOpenAI) -> None:
    stream = azure.chat.completions.create(
        model="gpt-35-turbo",
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers=Script(output_tokens=500, reasoning_tokens=40, cached_tokens=3).headers(),
    )
    chunks = list(stream)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert vocabulary.count(text, "cl100k_base") == 500
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 540
    [call] = sim.calls
    assert (call.visible_tokens, call.completion_tokens, call.reasoning_tokens) == (500, 540, 40)
    assert (call.cached_tokens, call.usage_sent, call.finished) == (3, True, True)


def test_openais_own_client_is_served_on_both_v1_routes(sim: HostedSimulator, openai: OpenAI) -> None:
    for client in (openai, openai.with_options(base_url=f"{sim.url}/openai/v1")):
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
        assert answer.model == "gpt-4o-mini-2024-07-18"
    assert [call.deployment for call in sim.calls] == ["gpt-4o-mini", "gpt-4o-mini"]


def test_the_body_may_carry_the_script(azure: AzureOpenAI) -> None:
    answer = azure.chat.completions.create(
        model="gpt-4o", messages=HELLO, extra_body={"simulation": {"output_tokens": 3}}
    )
    assert answer.choices[0].message.content == "The book."


def test_tools_are_called(azure: AzureOpenAI) -> None:
    tool: Any = {
        "type": "function",
        "function": {
            "name": "find",
            "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
        },
    }
    with azure.chat.completions.stream(
        model="gpt-4o", messages=HELLO, tools=[tool], extra_headers=Script(tool_calls=2).headers()
    ) as stream:
        [choice] = stream.get_final_completion().choices
    assert choice.finish_reason == "tool_calls"
    assert [call.function.name for call in choice.message.tool_calls or []] == ["find", "find"]


def test_completions_embeddings_models_and_files_are_answered(sim: HostedSimulator, azure: AzureOpenAI) -> None:
    assert azure.completions.create(model="gpt-35-turbo", prompt="One").choices[0].text
    vectors = azure.embeddings.create(model="text-embedding-3-small", input=["One", "Two"])
    assert [len(item.embedding) for item in vectors.data] == [1536, 1536]
    assert "gpt-4o-2024-11-20" in [model.id for model in azure.models.list()]
    upload = azure.files.create(file=("a.jsonl", b"{}" * 50_000), purpose="batch")
    assert upload.bytes == 100_000
    assert [call.api for call in sim.calls] == ["completions", "embeddings", "models", "other"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_each_status_raises_the_sdks_exception(
    azure: AzureOpenAI, status: int, error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        azure.chat.completions.create(
            model="gpt-4o", messages=HELLO, stream=True, extra_headers=Script(status=status).headers()
        )
    assert caught.value.status_code == status


def test_a_refused_prompt_raises_with_its_code(sim: HostedSimulator, azure: AzureOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        azure.chat.completions.create(
            model="gpt-4o", messages=HELLO, extra_headers=Script(prompt_filter=True).headers()
        )
    assert caught.value.code == "content_filter"
    [call] = sim.calls
    assert (call.status, call.prompt_tokens, call.completion_tokens, call.usage_sent) == (400, 8, 0, False)


def test_the_sdk_comes_back_after_a_429(sim: HostedSimulator, azure: AzureOpenAI) -> None:
    script = Script(status=429, retry_after=Duration(0.001), fail_times=2, id="twice")
    answer = azure.with_options(max_retries=2).chat.completions.create(
        model="gpt-4o", messages=HELLO, extra_headers=script.headers()
    )
    assert answer.usage is not None
    assert [call.status for call in sim.calls] == [429, 429, 200]


def test_fail_times_alone_fails_with_500_and_counts_by_id(sim: HostedSimulator, azure: AzureOpenAI) -> None:
    for id in ("a", "b", "a", "b"):
        try:
            azure.chat.completions.create(
                model="gpt-4o", messages=HELLO, extra_headers=Script(fail_times=1, id=id).headers()
            )
        except openai.InternalServerError:
            pass
    assert [call.status for call in sim.calls] == [500, 500, 200, 200]


def test_a_key_is_asked_for_in_either_header() -> None:
    with running_simulator(SimulatorSettings(key="secret")) as sim:
        for client in (
            AzureOpenAI(azure_endpoint=sim.url, api_key="secret", api_version="2024-10-21"),
            OpenAI(base_url=f"{sim.url}/openai/v1", api_key="secret"),
        ):
            with client:
                assert client.chat.completions.create(model="gpt-4o", messages=HELLO).choices
        with (
            OpenAI(base_url=f"{sim.url}/openai/v1", api_key="wrong") as stranger,
            pytest.raises(openai.AuthenticationError, match="invalid subscription key"),
        ):
            stranger.chat.completions.create(model="gpt-4o", messages=HELLO)
        assert [call.status for call in sim.calls] == [200, 200, 401]


@pytest.mark.parametrize(("deployment", "refuses"), [("gpt-4o-old", True), ("old-gpt", True), ("gold-gpt-4o", False)])
def test_deployments_named_old_refuse_stream_options(azure: AzureOpenAI, deployment: str, refuses: bool) -> None:
    def ask() -> None:
        with azure.chat.completions.create(
            model=deployment, messages=HELLO, stream=True, stream_options={"include_usage": True}
        ):
            pass

    if refuses:
        with pytest.raises(openai.BadRequestError, match="stream_options"):
            ask()
    else:
        ask()


def test_the_whole_server_can_refuse_stream_options() -> None:
    with (
        running_simulator(SimulatorSettings(refuse_stream_options=True)) as sim,
        OpenAI(base_url=f"{sim.url}/v1", api_key="any") as client,
    ):
        with pytest.raises(openai.BadRequestError, match="stream_options"):
            client.chat.completions.create(
                model="gpt-4o", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        assert list(client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True))


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_the_async_client_is_served_from_the_same_loop(run: Run) -> None:
    async def ask() -> None:
        async with (
            Simulator() as sim,
            AsyncAzureOpenAI(azure_endpoint=sim.url, api_key="any", api_version="2024-10-21") as client,
        ):
            stream = await client.chat.completions.create(
                model="gpt-4o",
                messages=HELLO,
                stream=True,
                extra_headers=Script(output_tokens=3000, chunk_tokens=1).headers(),
            )
            count = len([chunk async for chunk in stream])
            assert count == 1 + 1 + 3000 + 1
            [call] = await sim.wait_for_calls(1)
            assert call.finished
            assert call.visible_tokens == 3000
            sim.clear()
            assert sim.calls == []

    run(ask())


class Plan(BaseModel):
    title: str
    steps: list[str]


@pytest.mark.parametrize("streamed", [False, True])
def test_structured_output_is_parsed_by_the_sdk(azure: AzureOpenAI, streamed: bool) -> None:
    asked: Any = {"model": "gpt-4o", "messages": HELLO, "response_format": Plan}
    asked["extra_headers"] = Script(output_tokens=40).headers()
    if streamed:
        with azure.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
            answer: Any = stream.get_final_completion()
    else:
        answer = azure.chat.completions.parse(**asked)
    plan = answer.choices[0].message.parsed
    assert len(plan.steps) == 1
    assert answer.usage.completion_tokens == vocabulary.count(answer.choices[0].message.content, "o200k_base")
    assert abs(answer.usage.completion_tokens - 40) <= 2


def test_json_mode_is_an_object(azure: AzureOpenAI) -> None:
    answer = azure.chat.completions.create(
        model="gpt-4o", messages=HELLO, response_format={"type": "json_object"}, max_tokens=500
    )
    assert list(json.loads(answer.choices[0].message.content or "")) == ["answer"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_stands_where_the_sdk_looks_for_it(azure: AzureOpenAI, streamed: bool) -> None:
    asked: Any = {"model": "gpt-4o", "messages": HELLO, "response_format": Plan}
    asked["extra_headers"] = Script(refusal=True, output_tokens=8).headers()
    if streamed:
        with azure.chat.completions.stream(**asked) as stream:
            answer: Any = stream.get_final_completion()
    else:
        answer = azure.chat.completions.parse(**asked)
    message = answer.choices[0].message
    assert message.parsed is None
    assert vocabulary.count(message.refusal, "o200k_base") == 8


@pytest.mark.parametrize("streamed", [False, True])
def test_log_probabilities_are_told_for_each_token(azure: AzureOpenAI, streamed: bool) -> None:
    asked: Any = {"model": "gpt-4o", "messages": HELLO, "logprobs": True, "top_logprobs": 2, "n": 2}
    if streamed:
        with azure.chat.completions.stream(**asked) as stream:
            answer: Any = stream.get_final_completion()
    else:
        answer = azure.chat.completions.create(**asked)
    for choice in answer.choices:
        assert "".join(told.token for told in choice.logprobs.content) == choice.message.content
        assert {len(told.top_logprobs) for told in choice.logprobs.content} == {2}
    old = azure.completions.create(model="gpt-35-turbo", prompt="Hello", logprobs=1)
    told = old.choices[0].logprobs
    assert told is not None
    assert "".join(told.tokens or ()) == old.choices[0].text
    assert (told.text_offset or [])[:2] == [0, len((told.tokens or [""])[0])]


@pytest.mark.parametrize("streamed", [False, True])
def test_custom_tools_are_called_with_text(azure: AzureOpenAI, streamed: bool) -> None:
    tool: Any = {"type": "custom", "custom": {"name": "run"}}
    asked: Any = {"model": "gpt-5", "messages": HELLO, "tools": [tool], "stream": streamed}
    answer: Any = azure.chat.completions.create(**asked, extra_headers=Script(tool_calls=1).headers())
    if streamed:
        deltas = [call for chunk in answer for choice in chunk.choices for call in choice.delta.tool_calls or ()]
        assert deltas[0].custom == {"name": "run", "input": ""}
        assert "".join(delta.custom["input"] for delta in deltas)
    else:
        [call] = answer.choices[0].message.tool_calls
        assert (call.type, call.custom.name) == ("custom", "run")
        assert call.custom.input


def test_parallel_calls_can_be_forbidden(azure: AzureOpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "look"}}
    asked: Any = {
        "model": "gpt-4o",
        "messages": HELLO,
        "tools": [tool],
        "extra_headers": Script(tool_calls=3).headers(),
    }
    for allowed, number in ((True, 3), (False, 1)):
        answer = azure.chat.completions.create(**asked, parallel_tool_calls=allowed)
        assert len(answer.choices[0].message.tool_calls or ()) == number


@pytest.mark.parametrize(("asked", "told"), [("auto", "default"), ("priority", "priority"), ("flex", "flex")])
def test_the_tier_that_was_asked_for_answers(sim: HostedSimulator, azure: AzureOpenAI, asked: Any, told: str) -> None:
    answer = azure.chat.completions.create(model="gpt-4o", messages=HELLO, service_tier=asked)
    assert (answer.service_tier, sim.calls[0].service_tier) == (told, told)
