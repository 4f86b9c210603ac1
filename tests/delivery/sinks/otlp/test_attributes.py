"""Prompts and answers in the shape of the GenAI conventions, for sinks that are told to send them."""

import json
from typing import Any

import pytest
from hypothesis import given

from support.call_records import a_call, any_record, chat_request, stream_of
from tokenweir.delivery.sinks.otlp.attributes import call_attributes, content_attributes
from tokenweir.records import CallRecord


def content(**fields: Any) -> tuple[Any, Any]:
    said = content_attributes(a_call(**fields))
    asked, answered = said.get("gen_ai.input.messages"), said.get("gen_ai.output.messages")
    return asked and json.loads(str(asked)), answered and json.loads(str(answered))


def test_a_chat_is_messages_with_parts() -> None:
    assert content() == (
        [{"role": "user", "parts": [{"type": "text", "content": "Say hi."}]}],
        [{"role": "assistant", "parts": [{"type": "text", "content": "Hi."}], "finish_reason": "stop"}],
    )


def test_tools_that_were_called_and_what_they_answered_are_parts() -> None:
    called = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": None, "tool_calls": [called, "odd"]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rainy"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "And?"}, {"type": "image_url", "image_url": {"url": "u"}}],
        },
    ]
    answer = {"choices": [{"message": {"tool_calls": [called], "refusal": "No."}}]}
    asked, answered = content(
        request_body=chat_request(messages=messages), response_body=json.dumps(answer), finish_reasons=[]
    )
    tool_call = {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": '{"city":"Paris"}'}

    assert asked == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "assistant", "parts": [tool_call]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "rainy"}]},
        {
            "role": "user",
            "parts": [{"type": "text", "content": "And?"}, {"type": "image_url", "image_url": {"url": "u"}}],
        },
    ]
    assert answered == [{"role": "assistant", "parts": [{"type": "text", "content": "No."}, tool_call]}]


def test_a_stream_is_put_together() -> None:
    body = stream_of({"delta": {"content": "Hi "}}, {"delta": {"content": "there"}})
    _, answered = content(response_body=body)

    assert answered == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Hi there"}], "finish_reason": "stop"}
    ]


def test_a_completions_prompt_is_what_the_user_said() -> None:
    asked, _ = content(api="completions", request_body='{"prompt": "Once"}')

    assert asked == [{"role": "user", "parts": [{"type": "text", "content": "Once"}]}]


@pytest.mark.parametrize(
    "fields", [{"api": "embeddings"}, {"api": "other"}, {"request_body": None, "response_body": None}]
)
def test_where_there_is_nothing_nothing_is_said(fields: dict[str, Any]) -> None:
    assert content(**fields) == (None, None)


@given(any_record())
def test_any_body_is_json_or_nothing(record: CallRecord) -> None:
    for text in content_attributes(record).values():
        assert text is None or isinstance(json.loads(str(text)), list)


def test_what_the_caller_set_is_said_where_the_body_was_kept() -> None:
    asked = {
        "max_completion_tokens": 50,
        "temperature": 0,
        "top_p": 0.5,
        "seed": 7,
        "n": 2,
        "stop": "END",
        "frequency_penalty": "high",
        "presence_penalty": True,
        "messages": [{"role": "user", "content": "a secret"}],
    }
    body = json.dumps(asked)
    record = a_call(api="chat_completions", request_body=body, requested_service_tier="flex", service_tier="default")
    found = {name: value for name, value in call_attributes(record).items() if value is not None}
    expected = {
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.stop_sequences": ["END"],
    }
    assert {name: found.get(name) for name in expected} == expected
    assert isinstance(found["gen_ai.request.temperature"], float)
    assert "gen_ai.request.frequency_penalty" not in found and "gen_ai.request.presence_penalty" not in found
    assert (found["openai.request.service_tier"], found["openai.response.service_tier"]) == ("flex", "default")
    assert "a secret" not in str(found)


@pytest.mark.parametrize("body", [None, "", "[1]", "{", '{"n": 1, "stop": [1], "seed": null}', "\ud800"])
def test_a_body_that_says_nothing_of_use_says_nothing(body: str | None) -> None:
    found = call_attributes(a_call(api="chat_completions", request_body=body))
    parameters = ("max_tokens", "seed", "choice.count", "stop_sequences")
    assert {found.get(f"gen_ai.request.{name}") for name in parameters} == {None}
