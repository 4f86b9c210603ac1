"""The Responses API: usage where it stands, and what is counted where there is none."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tokenweir.apis import surface_of
from tokenweir.metering import Measurement, estimate, meter_for
from tokenweir.records import Quantity
from tokenweir.vocabulary import count

Read = Callable[..., Measurement]

USAGE = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}
MESSAGE = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Water flows."}]}
CALL = {"type": "function_call", "name": "open_gate", "arguments": '{"gate":1}'}


def response(**members: Any) -> dict[str, Any]:
    return {"id": "resp_1", "model": "gpt-4o-2024-08-06", "status": "completed", "error": None, "usage": None} | members


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | members)}\n\n".encode()


BEGUN = event("response.created", response=response(status="in_progress"))
WRITTEN = [event("response.output_text.delta", delta=delta, output_index=0) for delta in ("Water", " flows.")]


@pytest.mark.parametrize(
    ("kind", "members", "reasons", "error"),
    [
        ("completed", {"usage": USAGE}, ["stop"], None),
        (
            "incomplete",
            {"status": "incomplete", "usage": USAGE, "incomplete_details": {"reason": "max_output_tokens"}},
            ["length"],
            None,
        ),
        ("failed", {"status": "failed", "error": {"code": "insufficient_quota"}}, [], "insufficient_quota"),
    ],
)
def test_the_last_event_of_a_stream_tells_usage_and_end(
    read: Read, kind: str, members: dict[str, Any], reasons: list[str], error: str | None
) -> None:
    reading = read(BEGUN, *WRITTEN, event(f"response.{kind}", response=response(**members)), api="responses")
    assert (reading.usage is not None) == ("usage" in members)
    assert (reading.finish_reasons, reading.error_code, reading.done) == (reasons, error, True)
    assert (reading.response_id, reading.response_model, reading.chunks) == ("resp_1", "gpt-4o-2024-08-06", 4)
    assert [choice.text for choice in reading.output.choices()] == ["Water flows."]


def test_an_error_event_is_an_error(read: Read) -> None:
    reading = read(BEGUN, event("error", code="server_error", message="…"), api="responses")
    assert (reading.error_code, reading.done) == ("server_error", False)


def test_a_body_tells_usage_text_and_calls(read: Read) -> None:
    body = json.dumps(response(usage=USAGE, output=[{"type": "reasoning", "summary": []}, MESSAGE, CALL])).encode()
    reading = read(body, api="responses", event_stream=False)
    assert reading.usage is not None and reading.usage.total_tokens == 13
    (choice,) = reading.output.choices()
    assert (choice.text, choice.calls) == ("Water flows.", [("open_gate", '{"gate":1}')])


def test_calls_come_by_name_and_then_piece_by_piece(read: Read) -> None:
    pieces = [
        event("response.output_item.added", output_index=1, item=CALL | {"arguments": ""}),
        *(event("response.function_call_arguments.delta", output_index=1, delta=delta) for delta in ('{"gate"', ":1}")),
        event("response.output_item.done", output_index=1, item=CALL),
    ]
    (choice,) = read(BEGUN, *pieces, api="responses").output.choices()
    assert choice.calls == [("open_gate", '{"gate":1}')]


def test_a_stream_that_broke_is_counted(read: Read) -> None:
    request = json.dumps({"instructions": "Be brief.", "input": "What does water do?"}).encode()
    reading = read(BEGUN, *WRITTEN, api="responses")
    used = estimate("responses", request, reading, "gpt-4o", ended_normally=False, azure=True)
    words = sum(count(text, "o200k_base") for text in ("system", "Be brief.", "user", "What does water do?"))
    assert (used.input_tokens, used.output_tokens) == (words + 2 * 3 + 3, count("Water flows.", "o200k_base"))


@pytest.mark.parametrize("data", [b"[]", b"7", b'{"response":7}', b'{"type":[],"output":[7,{"type":"message"}]}', b"{"])
def test_odd_events_are_passed_over(read: Read, data: bytes) -> None:
    reading = read(b"data: " + data + b"\n\n", api="responses")
    assert reading.usage is None
    assert [choice.text for choice in reading.output.choices()] in ([], [""])


@pytest.mark.parametrize("size", [7, 10_000])
def test_the_first_token_is_the_models_and_not_what_is_repeated_of_the_request(size: int) -> None:
    times = iter(range(1, 1000))
    meter = meter_for(
        surface_of("responses"),
        event_stream=True,
        content_encoding="",
        keep_content=False,
        monotonic=lambda: next(times),
    )
    asked = response(status="in_progress", instructions="Flow.", metadata={"delta": "x", "text": "y"}, input=[MESSAGE])
    for begun in (event("response.created", response=asked), event("response.content_part.added", part={"text": ""})):
        for at in range(0, len(begun), size):
            meter.feed(begun[at : at + size])
    assert meter.first_token_at is None
    for at in range(0, len(WRITTEN[0]), size):
        meter.feed(WRITTEN[0][at : at + size])
    assert meter.first_token_at == 1


# --- what the upstream's own tools did ---

SEARCH, IMAGE = {"type": "web_search_call", "status": "completed"}, {"type": "image_generation_call", "result": "AA"}
TOOL_USAGE = {"image_gen": {"output_tokens": 7024}, "web_search": {"num_requests": 3}}


def test_a_body_tells_what_its_tools_did_and_its_tier(read: Read) -> None:
    output = [SEARCH, IMAGE, SEARCH, MESSAGE, CALL, {"type": "custom_tool_call"}, {"type": 7}, "x"]
    body = json.dumps(response(usage=USAGE, output=output, tool_usage=TOOL_USAGE, service_tier="flex")).encode()
    reading = read(body, api="responses", event_stream=False)
    assert (reading.tool_usage, reading.service_tier) == (TOOL_USAGE, "flex")
    assert reading.tool_calls == {"web_search_call": 2, "image_generation_call": 1}


@pytest.mark.parametrize("whole", [True, False])
def test_a_stream_tells_what_its_tools_did_also_where_it_breaks(read: Read, whole: bool) -> None:
    told = [event("response.output_item.done", item=item, output_index=n) for n, item in enumerate([SEARCH, MESSAGE])]
    last = response(usage=USAGE, output=[SEARCH, MESSAGE], tool_usage=TOOL_USAGE, service_tier="priority")
    reading = read(BEGUN, *told, *([event("response.completed", response=last)] if whole else []), api="responses")
    assert reading.tool_calls == {"web_search_call": 1}
    assert (reading.tool_usage, reading.service_tier) == ((TOOL_USAGE, "priority") if whole else (None, None))


def test_an_event_of_something_else_says_nothing_of_the_answer(read: Read) -> None:
    other = event("conversation.usage", response=response(id="resp_9", model="other", usage={"input_tokens": 99}))
    done = event("response.completed", response=response(usage=USAGE))
    reading = read(BEGUN, other, *WRITTEN, done, other, api="responses")
    assert reading.usage is not None
    assert (reading.usage.total_tokens, reading.response_id, reading.response_model) == (
        13,
        "resp_1",
        "gpt-4o-2024-08-06",
    )


@pytest.mark.parametrize("streamed", [False, True])
def test_what_several_agents_have_used_is_one_usage_with_all_of_their_tools(read: Read, streamed: bool) -> None:
    search = {"type": "web_search_call", "status": "completed", "action": {"type": "search"}}
    output: list[dict[str, Any]] = [
        {"type": "multi_agent_call", "id": "ma_1", "status": "completed", "agent": {"agent_name": "root"}},
        {**search, "agent": {"agent_name": "one"}},
        {**search, "agent": {"agent_name": "two"}},
        {"type": "multi_agent_call_output", "call_id": "ma_1", "agent": {"agent_name": "root"}},
        {**MESSAGE, "agent": {"agent_name": "root"}},
    ]
    whole = response(usage={"input_tokens": 9_000, "output_tokens": 400, "total_tokens": 9_400}, output=output)
    if streamed:
        told = [
            event("response.output_item.done", output_index=at, item=item, agent=item["agent"])
            for at, item in enumerate(output)
        ]
        deltas = [
            event("response.output_text.delta", delta=name, output_index=at, agent={"agent_name": name})
            for at, name in enumerate(["one", "two", "one"])
        ]
        reading = read(BEGUN, *deltas, *told, event("response.completed", response=whole), api="responses")
    else:
        reading = read(json.dumps(whole).encode(), api="responses", event_stream=False)
    assert reading.usage is not None
    assert (reading.usage.total_tokens, reading.usage.quantities) == (9_400, {"web_searches": Quantity(2, "counted")})
    assert reading.tool_calls == {"web_search_call": 2, "multi_agent_call": 1}
