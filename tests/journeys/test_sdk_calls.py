"""The official SDK through the gateway: what the simulator says it sent is what the record says was used."""

import json
from typing import Any

import pytest
from openai import (
    AsyncAzureOpenAI,
    AuthenticationError,
    AzureOpenAI,
    BadRequestError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)

from support.relay_thread import KEY, RelayThread
from tokenweir.records import CallRecord
from tokenweir.simulator import HostedSimulator, SentCall

MESSAGES: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Überraschung? 日本語 🙂"}]


def script(**members: Any) -> dict[str, str]:
    return {"x-simulate": json.dumps(members)}


def assert_books_agree(record: CallRecord, sent: SentCall) -> None:
    assert record.usage.source == "reported"
    assert record.usage.input_tokens == sent.prompt_tokens
    assert record.usage.cached_input_tokens == sent.cached_tokens
    assert record.usage.output_tokens == sent.completion_tokens
    assert record.usage.reasoning_tokens == sent.reasoning_tokens
    assert record.usage.total_tokens == sent.prompt_tokens + sent.completion_tokens
    assert record.upstream_request_id == sent.id


def test_a_plain_chat_call_is_answered_and_recorded(
    azure: AzureOpenAI, relay: RelayThread, sim: HostedSimulator
) -> None:
    answer = azure.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=MESSAGES, extra_headers=script(output_tokens=57, cached_tokens=8)
    )
    record = relay.record()

    assert answer.parse().usage is not None
    assert answer.headers["x-tokenweir-call-id"] == record.call_id
    assert answer.headers["x-ms-region"] == "Sweden Central"
    assert answer.headers["x-ms-stream"] == "False"
    assert_books_agree(record, sim.calls[0])
    assert record.usage.output_tokens == 57
    assert (record.api, record.operation, record.deployment) == ("chat_completions", "chat", "gpt-4o")
    assert (record.caller, record.tags, record.backend) == ("team-a", {"cost_centre": "4711"}, "sim")
    assert (record.status, record.outcome, record.stream, record.attempts) == (200, "completed", False, 1)
    assert record.finish_reasons == ["stop"]
    assert record.region == "Sweden Central"
    assert record.seq == 1


def test_a_streamed_call_that_did_not_ask_for_usage_does_not_see_it_and_is_still_metered(
    azure: AzureOpenAI, relay: RelayThread, sim: HostedSimulator
) -> None:
    with azure.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, stream=True, extra_headers=script(output_tokens=120, reasoning_tokens=31)
    ) as stream:
        chunks = list(stream)
    record = relay.record()

    assert all(chunk.usage is None for chunk in chunks)
    assert sum(1 for chunk in chunks if not chunk.choices) == 1  # the prompt filter's, which is the upstream's own
    assert_books_agree(record, sim.calls[0])
    assert record.usage.output_tokens == 151
    assert record.stream
    assert record.first_byte_ms is not None
    assert record.first_token_ms is not None
    assert 0 < record.first_byte_ms <= record.first_token_ms <= record.latency_ms


def test_a_streamed_call_that_asked_for_usage_gets_it(azure: AzureOpenAI, relay: RelayThread) -> None:
    with azure.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as stream:
        usages = [chunk.usage for chunk in stream if chunk.usage]

    assert [usage.total_tokens for usage in usages] == [relay.record().usage.total_tokens]


def test_tool_calls_pass_and_are_metered(azure: AzureOpenAI, relay: RelayThread, sim: HostedSimulator) -> None:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    with azure.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, tools=tools, stream=True, extra_headers=script(tool_calls=2)
    ) as stream:
        names = [
            call.function.name
            for chunk in stream
            for choice in chunk.choices
            for call in (choice.delta.tool_calls or [])
            if call.function and call.function.name
        ]

    assert len(names) == 2
    assert_books_agree(relay.record(), sim.calls[0])
    assert relay.record().finish_reasons == ["tool_calls"]


def test_completions_and_embeddings(azure: AzureOpenAI, relay: RelayThread, sim: HostedSimulator) -> None:
    azure.completions.create(model="gpt-35", prompt="Once upon a time")
    with azure.completions.create(model="gpt-35", prompt="Once upon a time", stream=True) as stream:
        list(stream)
    azure.embeddings.create(model="embedding", input=["one", "two three"])
    records = relay.records(3)

    for record, sent in zip(records, sim.calls, strict=True):
        assert_books_agree(record, sent)
    assert [record.api for record in records] == ["completions", "completions", "embeddings"]
    assert [record.operation for record in records] == ["text_completion", "text_completion", "embeddings"]


def test_the_plain_openai_client_on_the_v1_path(openai_v1: OpenAI, relay: RelayThread, sim: HostedSimulator) -> None:
    openai_v1.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    with openai_v1.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True) as stream:
        list(stream)

    for record, sent in zip(relay.records(2), sim.calls, strict=True):
        assert_books_agree(record, sent)
        assert (record.deployment, record.requested_model, record.caller) == ("gpt-4o", "gpt-4o", "team-a")


async def _ten_at_once(relay: RelayThread) -> None:
    import asyncio

    async with AsyncAzureOpenAI(
        azure_endpoint=relay.url, api_key=KEY, api_version="2024-10-21", max_retries=0
    ) as client:

        async def one() -> None:
            stream = await client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
            async for _ in stream:
                pass

        await asyncio.gather(*(one() for _ in range(10)))


def test_ten_streams_at_once_with_the_async_client(relay: RelayThread, sim: HostedSimulator) -> None:
    import asyncio

    asyncio.run(_ten_at_once(relay))
    records = {record.upstream_request_id: record for record in relay.records(10)}

    assert len(records) == 10
    for sent in sim.wait_for_calls(10):
        assert_books_agree(records[sent.id], sent)


def test_what_the_upstream_refuses_reaches_the_caller_as_it_was_said(azure: AzureOpenAI, relay: RelayThread) -> None:
    with pytest.raises(RateLimitError) as caught:
        azure.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, extra_headers=script(status=429, retry_after=7)
        )
    record = relay.record()

    assert caught.value.response.headers["retry-after"] == "7"
    assert (record.status, record.outcome, record.usage.source) == (429, "upstream_error", "none")
    assert record.error_code


def test_an_upstream_that_refuses_stream_options_is_asked_again_without_them_and_remembered(
    azure: AzureOpenAI, relay: RelayThread, sim: HostedSimulator
) -> None:
    for _ in range(2):
        with azure.chat.completions.create(
            model="old-gpt", messages=MESSAGES, stream=True, extra_headers=script(output_tokens=40)
        ) as stream:
            list(stream)
    first, second = relay.records(2)

    assert (first.attempts, second.attempts) == (2, 1)
    assert [call.status for call in sim.calls] == [400, 200, 200]
    for record in (first, second):
        assert record.usage.source == "estimated"
        assert record.outcome == "completed"
        assert abs(record.usage.output_tokens - 40) <= 1  # Azure adds one token at the end of most texts


def test_a_wrong_key_a_wrong_deployment_and_a_bad_body_are_told_apart(azure: AzureOpenAI, relay: RelayThread) -> None:
    with pytest.raises(AuthenticationError, match="not known here"):
        azure.with_options(api_key="nobody's").chat.completions.create(model="gpt-4o", messages=MESSAGES)
    with pytest.raises(NotFoundError, match="base URL"):
        azure.with_options(base_url=f"{relay.url}/nothing").get("/here", cast_to=object)
    with pytest.raises(BadRequestError, match="JSON object"):
        azure.post("/deployments/gpt-4o/chat/completions", cast_to=object, content=b"[1, 2")
    outcomes = [(record.status, record.outcome, record.error_code) for record in relay.records(3)]

    assert outcomes == [
        (401, "refused", "invalid_api_key"),
        (404, "refused", "unknown_route"),
        (400, "refused", "invalid_json"),
    ]


def test_half_an_emoji_is_the_upstreams_to_judge(relay: RelayThread) -> None:
    """JavaScript clients that cut a text cut surrogate pairs; upstreams accept that."""
    import httpx

    body = b'{"stream": true, "messages": [{"role": "user", "content": "cut \\ud83d"}]}'
    url = f"{relay.url}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    httpx.post(url, content=body, headers={"api-key": KEY})
    record = relay.record()

    assert (record.stream, record.backend, record.attempts) == (True, "sim", 1)
