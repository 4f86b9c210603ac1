"""From request and script to bytes with times, without a socket; the SDK's own types read the result."""

import base64
import gzip
import json
import math
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tokenweir import vocabulary
from tokenweir.simulator.failures import Refused
from tokenweir.simulator.framing import on_the_wire
from tokenweir.simulator.pieces import ReplyPiece
from tokenweir.simulator.replies import reply
from tokenweir.simulator.request import ReceivedRequest
from tokenweir.simulator.routes import route
from tokenweir.simulator.script import read_script
from tokenweir.simulator.surface import AnswerContext, Reply

Chat = Callable[..., ReceivedRequest]

MOMENT = AnswerContext("01a20150-a2d2-7866-acb1-e5055e9c3fb6", 1_795_000_000, "Sweden Central")
USAGE = {"include_usage": True}


def answered(request: ReceivedRequest) -> Reply:
    call = route(request)
    return reply(call, read_script(request.headers, call.body), MOMENT)


def body(request: ReceivedRequest) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(answered(request).body)
    return decoded


def pieces(request: ReceivedRequest) -> list[ReplyPiece]:
    made = answered(request).pieces
    assert made is not None
    return list(made)


def frames(request: ReceivedRequest) -> list[dict[str, Any]]:
    """The JSON of each event but ``[DONE]``."""
    data = [piece.data.decode().removeprefix("data: ").strip() for piece in pieces(request)]
    return [json.loads(text) for text in data if text != "[DONE]"]


def chunks(request: ReceivedRequest) -> list[ChatCompletionChunk]:
    """As the SDK reads them: by the type, but not strictly, since Azure's filter frames do not fit it."""
    read = frames(request)
    for frame in read:
        if frame["id"]:
            ChatCompletionChunk.model_validate(frame)
    return [ChatCompletionChunk.construct(**frame) for frame in read]


def text_of(stream: list[ChatCompletionChunk]) -> str:
    deltas = [choice.delta for chunk in stream if chunk.id for choice in chunk.choices]
    return "".join(delta.content or "" for delta in deltas)


def wire(request: ReceivedRequest) -> list[ReplyPiece]:
    call = route(request)
    script = read_script(request.headers, call.body)
    return list(on_the_wire(reply(call, script, MOMENT), script, request))


@settings(max_examples=25)
@given(
    n=st.integers(0, 3000),
    size=st.integers(1, 50),
    model=st.sampled_from(["gpt-4o-2024-11-20", "gpt-35-turbo"]),
)
def test_the_visible_text_has_exactly_the_stated_tokens(n: int, size: int, model: str) -> None:
    told = json.dumps({"output_tokens": n, "chunk_tokens": size, "model": model})
    request = ReceivedRequest(
        method="POST",
        path="/openai/deployments/any/chat/completions",
        query={"api-version": "2024-10-21"},
        headers={"x-simulate": told},
        body=b'{"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user"}]}',
    )
    stream = chunks(request)
    assert vocabulary.count(text_of(stream), vocabulary.encoding_name(model)) == n
    usage = stream[-1].usage
    assert usage is not None
    assert usage.completion_tokens == n
    assert sum(piece.visible for piece in pieces(request)) == n


def test_an_azure_stream_has_azures_frames_in_azures_order(chat: Chat) -> None:
    script = {"output_tokens": 7, "reasoning_tokens": 5, "cached_tokens": 2}
    stream = frames(chat(stream=True, stream_options=USAGE, script=script))
    first, role, *said, last, usage = stream
    assert (first["choices"], first["id"], first["model"]) == ([], "", "")
    assert "prompt_filter_results" in first
    assert role["choices"][0]["delta"]["role"] == "assistant"
    assert [frame["choices"][0]["delta"]["content"] for frame in said] == [
        "The book is",
        " old, the",
        ".",
    ]
    assert all(frame["usage"] is None for frame in [role, *said, last])
    assert last["choices"][0] == {
        "content_filter_results": {},
        "delta": {},
        "finish_reason": "stop",
        "index": 0,
        "logprobs": None,
    }
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 12
    assert usage["usage"]["completion_tokens_details"]["reasoning_tokens"] == 5
    assert usage["usage"]["prompt_tokens_details"]["cached_tokens"] == 2
    assert usage["usage"]["total_tokens"] == usage["usage"]["prompt_tokens"] + 12
    assert pieces(chat(stream=True))[-1].data == b"data: [DONE]\n\n"


def test_nobody_who_did_not_ask_hears_of_usage(chat: Chat) -> None:
    assert not any("usage" in frame for frame in frames(chat(stream=True)))


def test_usage_can_be_withheld_from_who_asked(chat: Chat) -> None:
    script = {"usage": "withheld"}
    assert not any("usage" in f for f in frames(chat(stream=True, stream_options=USAGE, script=script)))
    assert "usage" not in body(chat(script=script))


def test_openais_own_route_has_no_filters_and_a_token_a_chunk(chat: Chat) -> None:
    stream = frames(chat("/v1/chat/completions", model="gpt-4o", stream=True, script={"output_tokens": 4}))
    assert "content_filter" not in json.dumps(stream)
    assert len(stream) == 1 + 4 + 1
    headers = dict(answered(chat("/v1/chat/completions", model="gpt-4o")).headers)
    assert "x-request-id" in headers
    assert "x-ms-region" not in headers


def test_an_asynchronous_filter_speaks_in_frames_without_a_delta_even_after_the_stop(chat: Chat) -> None:
    stream = frames(chat(stream=True, script={"output_tokens": 20, "async_filter": True}))
    bare = [i for i, f in enumerate(stream) if f["choices"] and "delta" not in f["choices"][0]]
    stop = next(i for i, f in enumerate(stream) if f["choices"] and f["choices"][0]["finish_reason"])
    assert min(bare) < stop < max(bare)
    offsets = [stream[i]["choices"][0]["content_filter_offsets"]["check_offset"] for i in bare]
    assert offsets == sorted(offsets)
    assert offsets[-1] == len(text_of(chunks(chat(stream=True, script={"output_tokens": 20}))))


def test_an_asynchronous_filter_blocks_in_a_frame_of_its_own(chat: Chat) -> None:
    script = {"output_tokens": 5, "async_filter": True, "finish_reason": "content_filter"}
    reasons = [
        ("delta" in choice, choice["finish_reason"])
        for frame in frames(chat(stream=True, script=script))
        for choice in frame["choices"]
        if choice["finish_reason"]
    ]
    assert reasons == [(False, "content_filter")]


def test_a_whole_answer_reads_as_the_sdks_type(chat: Chat) -> None:
    answer = ChatCompletion.model_validate(body(chat(script={"output_tokens": 30, "reasoning_tokens": 3})))
    [choice] = answer.choices
    assert vocabulary.count(choice.message.content or "", "o200k_base") == 30
    assert choice.finish_reason == "stop"
    assert answer.model == "gpt-4o-2024-11-20"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 33


def test_streamed_or_not_the_text_is_the_same(chat: Chat) -> None:
    whole = ChatCompletion.model_validate(body(chat()))
    assert whole.choices[0].message.content == text_of(chunks(chat(stream=True)))


def test_several_choices_take_turns_and_each_counts(chat: Chat) -> None:
    request = chat(stream=True, stream_options=USAGE, n=3, script={"output_tokens": 6})
    stream = chunks(request)
    order = [c.index for chunk in stream for c in chunk.choices if c.delta.content]
    assert order == [0, 1, 2, 0, 1, 2]
    assert stream[-1].usage is not None
    assert stream[-1].usage.completion_tokens == 18
    texts = [choice["message"]["content"] for choice in body(chat(n=3))["choices"]]
    assert len(set(texts)) == 3


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_limit_cuts_the_text(chat: Chat, limit: str) -> None:
    answer = body(chat(script={"output_tokens": 50}, **{limit: 12}))
    assert answer["choices"][0]["finish_reason"] == "length"
    assert vocabulary.count(answer["choices"][0]["message"]["content"], "o200k_base") == 12


def test_reasoning_comes_out_of_the_limit_first(chat: Chat) -> None:
    script = {"output_tokens": 50, "reasoning_tokens": 40}
    usage = body(chat(script=script, max_completion_tokens=30))["usage"]
    assert usage["completion_tokens"] == 30
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 30


FIND = {
    "type": "function",
    "function": {
        "name": "find_place",
        "parameters": {
            "type": "object",
            "properties": {
                "unit": {"type": "string", "enum": ["km", "miles"]},
                "place": {"type": "string"},
                "limit": {"type": "integer"},
            },
            "required": ["unit", "place", "limit"],
        },
    },
}


def test_a_tool_call_fits_its_schema_and_its_count(chat: Chat) -> None:
    answer = body(chat(tools=[FIND], script={"tool_calls": 1, "output_tokens": 60}))
    [choice] = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    [called] = choice["message"]["tool_calls"]
    arguments = json.loads(called["function"]["arguments"])
    assert (arguments["unit"], arguments["limit"]) == ("km", 1)
    assert arguments["place"]
    visible = vocabulary.count("find_place", "o200k_base")
    visible += vocabulary.count(called["function"]["arguments"], "o200k_base")
    assert visible + 7 == answer["usage"]["completion_tokens"] == 60


def test_streamed_tool_calls_add_up_to_the_whole_ones(chat: Chat) -> None:
    script = {"tool_calls": 2, "output_tokens": 80}
    whole = body(chat(tools=[FIND], script=script))["choices"][0]["message"]["tool_calls"]
    request = chat(tools=[FIND], stream=True, stream_options=USAGE, script=script)
    arguments = ["", ""]
    names: list[str | None] = []
    for chunk in chunks(request):
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                assert call.function is not None
                arguments[call.index] += call.function.arguments or ""
                names += [call.function.name] if call.function.name else []
    assert arguments == [call["function"]["arguments"] for call in whole]
    assert names == ["find_place", "find_place"]
    usage = frames(request)[-1]["usage"]
    assert usage["completion_tokens"] == 80
    assert sum(piece.visible for piece in pieces(request)) == 80 - 22


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "find_place"}}])
def test_a_forced_choice_is_obeyed_without_a_script(chat: Chat, choice: Any) -> None:
    [made] = body(chat(tools=[FIND], tool_choice=choice))["choices"]
    assert made["message"]["tool_calls"][0]["function"]["name"] == "find_place"


def test_completions_answer_each_prompt(chat: Chat) -> None:
    path = "/openai/deployments/gpt-35-turbo/completions"
    answer = Completion.model_validate(body(chat(path, prompt=["One", "Two"], script={"output_tokens": 9})))
    assert [vocabulary.count(choice.text, "cl100k_base") for choice in answer.choices] == [9, 9]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 18)


def test_streamed_completions_read_as_the_sdks_type(chat: Chat) -> None:
    path = "/openai/deployments/gpt-35-turbo/completions"
    stream = frames(chat(path, prompt="One", stream=True, stream_options=USAGE, script={"output_tokens": 9}))
    read = [Completion.construct(**frame) for frame in stream]
    text = "".join(choice.text for frame in read for choice in frame.choices)
    assert vocabulary.count(text, "cl100k_base") == 9
    assert read[-1].usage is not None
    assert read[-1].usage.total_tokens == 10


def test_embeddings_are_unit_vectors_that_follow_from_the_input(chat: Chat) -> None:
    path = "/openai/deployments/text-embedding-3-small/embeddings"
    answer = CreateEmbeddingResponse.model_validate(body(chat(path, input=["One", "Two", "One"])))
    vectors = [item.embedding for item in answer.data]
    assert [len(vector) for vector in vectors] == [1536] * 3
    assert vectors[0] == vectors[2] != vectors[1]
    assert math.isclose(math.hypot(*vectors[0]), 1, rel_tol=1e-5)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (3, 3)


def test_embeddings_as_base64_are_the_same_numbers(chat: Chat) -> None:
    path = "/openai/deployments/text-embedding-3-small/embeddings"
    numbers = body(chat(path, input="One", dimensions=8))["data"][0]["embedding"]
    packed = body(chat(path, input="One", dimensions=8, encoding_format="base64"))["data"][0]["embedding"]
    assert list(struct.unpack("<8f", base64.b64decode(packed))) == numbers


@pytest.mark.parametrize(
    ("sent", "message"),
    [({"input": ""}, "'input'"), ({"input": "One", "dimensions": 4096}, "'dimensions' must be from 1 to 1536")],
)
def test_embeddings_that_cannot_be_made_are_refused(chat: Chat, sent: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        answered(chat("/openai/deployments/text-embedding-3-small/embeddings", **sent))


def test_arguments_have_the_types_their_schema_wants(chat: Chat) -> None:
    kinds = {"a": "boolean", "b": "array", "c": "number", "d": "string", "e": "string"}
    properties: dict[str, Any] = {name: {"type": kind} for name, kind in kinds.items()}
    properties["f"] = {"type": "object", "properties": {"g": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": properties}}}
    [choice] = body(chat(tools=[tool], script={"tool_calls": 1}))["choices"]
    arguments = json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"a": True, "b": [], "c": 1, "d": "The", "e": "river", "f": {"g": "river"}}


def test_a_tool_without_parameters_is_called_without_arguments(chat: Chat) -> None:
    tool = {"type": "function", "function": {"name": "now"}}
    [choice] = body(chat(tools=[tool], script={"tool_calls": 1}))["choices"]
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "now", "arguments": "{}"}


@pytest.mark.parametrize("fault", ["reset_after", "close_after", "hang_after"])
def test_a_fault_cuts_the_output_and_nothing_closes(chat: Chat, fault: str) -> None:
    request = chat(stream=True, stream_options=USAGE, script={"output_tokens": 30, fault: 4})
    sent = pieces(request)
    assert [piece.visible for piece in sent if piece.visible] == [3, 3, 3, 3]
    assert not any(piece.usage or b"[DONE]" in piece.data for piece in sent)
    assert answered(request).ending == fault.removesuffix("_after")
    assert not wire(request)[-1].data.endswith(b"0\r\n\r\n")


def test_a_fault_beyond_the_end_strikes_before_anything_closes(chat: Chat) -> None:
    sent = pieces(chat(stream=True, script={"output_tokens": 3, "close_after": 100}))
    assert sum(piece.visible for piece in sent) == 3
    assert b'finish_reason":"stop' not in sent[-1].data


def test_a_fault_after_nothing_is_before_the_head(chat: Chat) -> None:
    assert [p.data for p in wire(chat(stream=True, script={"reset_after": 0}))] == [b""]


def test_a_fault_in_a_whole_answer_strikes_in_the_middle_of_its_body(chat: Chat) -> None:
    request = chat(script={"close_after": 1})
    head, half = wire(request)
    length = int(head.data.split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(half.data) == length // 2


def test_an_error_frame_ends_a_stream_that_began_well(chat: Chat) -> None:
    stream = frames(chat(stream=True, script={"output_tokens": 9, "error_frame_after": 2}))
    assert list(stream[-1]) == ["error"]
    assert stream[-1]["error"]["type"] == "server_error"
    assert answered(chat(script={"error_frame_after": 2})).status == 500


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "401"), (404, "DeploymentNotFound"), (429, "429"), (500, None), (503, "ServiceUnavailable")],
)
def test_an_error_has_azures_shape(chat: Chat, status: int, code: str | None) -> None:
    made = answered(chat(script={"status": status}))
    assert made.status == status
    assert json.loads(made.body)["error"]["code"] == code


def test_a_429_says_when_to_come_back(chat: Chat) -> None:
    headers = dict(answered(chat(script={"status": 429, "retry_after": "1500ms"})).headers)
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1500")


def test_a_refused_prompt_counts_its_prompt(chat: Chat) -> None:
    made = answered(chat(script={"prompt_filter": True}))
    error = json.loads(made.body)["error"]
    assert (made.status, error["code"]) == (400, "content_filter")
    assert error["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    assert made.answer is not None
    assert (made.answer.prompt_tokens, made.answer.completion_tokens) == (8, 0)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"messages": []}, "Missing required parameter: 'messages'"),
        ({"stream_options": USAGE}, "only allowed when 'stream' is enabled"),
        ({"max_tokens": "many"}, "Invalid 'max_tokens'"),
        ({"n": 0}, "Invalid 'n'"),
    ],
)
def test_a_body_that_azure_refuses_is_refused(chat: Chat, sent: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        answered(chat(**sent))
    assert caught.value.status == 400


def test_stream_options_can_be_refused_by_name(chat: Chat) -> None:
    request = chat(stream=True, stream_options=USAGE, script={"refuse_stream_options": True})
    with pytest.raises(Refused, match="Unrecognized request argument supplied: stream_options"):
        answered(request)
    assert answered(chat(stream=True, script={"refuse_stream_options": True})).status == 200


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/openai/deployments/gpt-4o/chat/completions", {}, 404),
        ("/openai/models", {}, 404),
        ("/chat/completions", {"api-version": "2024-10-21"}, 404),
        ("/openai/v1/chat/completions", {}, 400),
    ],
)
def test_a_path_that_azure_does_not_know_is_refused(path: str, query: dict[str, str], status: int) -> None:
    with pytest.raises(Refused) as caught:
        route(ReceivedRequest(method="POST", path=path, query=query, body=b"{}"))
    assert caught.value.status == status


def test_the_headers_are_azures_and_the_script_may_change_them(chat: Chat) -> None:
    script = {"region": "France Central", "served_model": "gpt-4o-x", "spillover_to": "gpt-4o-paygo"}
    headers = dict(answered(chat(script={**script, "latency": True})).headers)
    assert headers["x-ms-region"] == "France Central"
    assert headers["x-ms-served-model"] == "gpt-4o-x"
    assert headers["x-ms-is-spilled-over"] == "true"
    assert headers["x-ms-deployment-name"] == "gpt-4o-paygo"
    assert headers["x-ms-spillover-from-deployment"] == "gpt-4o"
    assert headers["openai-processing-ms"]
    plain = dict(answered(chat()).headers)
    assert plain["x-ms-region"] == "Sweden Central"
    assert plain["x-ms-deployment-name"] == "gpt-4o"
    assert plain["x-ratelimit-remaining-tokens"] == str(250_000 - 8)


def test_times_stand_before_the_head_and_before_each_chunk(chat: Chat) -> None:
    script = {"output_tokens": 6, "first_byte_delay": "250ms", "chunk_delay": "20ms"}
    assert [p.delay for p in wire(chat(stream=True, script=script)) if p.delay] == [0.25, 0.02, 0.02]


def test_lines_may_end_in_crlf_with_comments_and_without_done(chat: Chat) -> None:
    script = {"crlf": True, "comments": True, "no_done": True, "output_tokens": 2}
    sent = pieces(chat(stream=True, script=script))
    assert all(piece.data.startswith(b": simulated\r\n\r\ndata: {") for piece in sent)
    assert all(piece.data.endswith(b"}\r\n\r\n") for piece in sent)
    assert wire(chat(stream=True, script=script))[-1].data == b"0\r\n\r\n"


def test_obfuscation_is_an_extra_member(chat: Chat) -> None:
    request = chat(stream=True, script={"obfuscation": True, "output_tokens": 3})
    assert all(frame["obfuscation"] for frame in frames(request)[1:])
    assert text_of(chunks(request)) == "The book."


def test_each_event_of_a_zipped_stream_can_be_unpacked_at_once(chat: Chat) -> None:
    request = chat(stream=True, script={"gzip": True, "output_tokens": 30})
    head, *sent = wire(request)
    assert b"content-encoding: gzip" in head.data
    unpacker = zlib.decompressobj(wbits=31)
    unpacked = [unpacker.decompress(piece.data.split(b"\r\n", 1)[1][:-2]) for piece in sent]
    plain = [piece.data for piece in pieces(chat(stream=True, script={"output_tokens": 30}))]
    assert unpacked[: len(plain)] == plain
    assert unpacker.eof


def test_a_zipped_answer_unpacks_to_the_plain_one(chat: Chat) -> None:
    _, packed = wire(chat(script={"gzip": True}))
    assert json.loads(gzip.decompress(packed.data)) == body(chat())


def test_a_split_body_comes_in_small_pieces_each_of_its_own(chat: Chat) -> None:
    request = chat(stream=True, script={"split": 7, "output_tokens": 9})
    _, *sent, end = wire(request)
    assert all(piece.delay == 0.0 for piece in sent)
    parts = [piece.data.split(b"\r\n", 1)[1][:-2] for piece in sent]
    assert max(map(len, parts)) == 7
    plain = pieces(chat(stream=True, script={"output_tokens": 9}))
    assert b"".join(parts) == b"".join(piece.data for piece in plain)
    assert sum(piece.visible for piece in sent) == 9
    assert end.data == b"0\r\n\r\n"


def test_the_model_is_guessed_from_the_deployments_name(chat: Chat) -> None:
    def model(deployment: str) -> str:
        return str(body(chat(f"/openai/deployments/{deployment}/chat/completions"))["model"])

    assert model("gpt-4o-ptu") == "gpt-4o-2024-11-20"
    assert model("gpt-4o-mini") == "gpt-4o-mini-2024-07-18"
    assert model("gpt-4o-2024-08-06") == "gpt-4o-2024-08-06"
    assert model("team-a-chat") == "gpt-4o-2024-11-20"
