"""Records of calls as a relay writes them, single ones and any that there can be."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tokenweir.records import QUANTITIES, CallRecord, Quantity, from_fields

__all__ = ["a_call", "any_record", "chat_request", "stream_of"]

STARTED = datetime(2026, 11, 22, 12, 0, 0, 250, tzinfo=UTC)


def a_call(**fields: Any) -> CallRecord:
    """A chat call that went well, with its bodies, unless something else is asked for."""
    usual: dict[str, Any] = {
        "call_id": "019ab000-0000-7000-8000-000000000001",
        "replica": "host-relay-0-abcdef",
        "seq": 7,
        "started_at": STARTED,
        "api": "chat_completions",
        "operation": "chat",
        "method": "POST",
        "path": "/openai/deployments/gpt/chat/completions",
        "api_version": "2024-10-21",
        "deployment": "gpt",
        "requested_model": "gpt-4o",
        "caller": "team-a",
        "key_id": "k-1",
        "tags": {"cost_centre": "4711"},
        "backend": "sweden",
        "region": "Sweden Central",
        "response_model": "gpt-4o-2024-11-20",
        "status": 200,
        "finish_reasons": ["stop"],
        "usage_source": "reported",
        "input_tokens": 9,
        "output_tokens": 3,
        "total_tokens": 12,
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        "first_byte_ms": 120.9,
        "latency_ms": 200.456,
        "request_body": chat_request(),
        "response_body": json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}}]}),
    }
    return from_fields(**(usual | fields))


def chat_request(**members: Any) -> str:
    return json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hi."}]} | members)


def stream_of(*choices: dict[str, Any] | list[dict[str, Any]]) -> str:
    """A stream with a frame for each choice, or for each list of choices."""
    frames = [{"choices": choice if isinstance(choice, list) else [choice]} for choice in choices]
    return "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames) + "data: [DONE]\n\n"


_texts = st.text(st.characters(codec="utf-8"), max_size=40)
_bodies = st.none() | st.text(st.characters(codec="utf-8"), max_size=3000)
_jsons = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**60) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_chats = st.builds(lambda messages: chat_request(messages=messages), st.lists(_jsons, max_size=3))
_streams = st.builds(lambda deltas: stream_of(*({"delta": {"content": one}} for one in deltas)), st.lists(_texts))


_quantities = st.builds(
    Quantity,
    st.none() | st.integers(0, 2**53) | st.decimals(0, 10**6, places=3).map(Decimal),
    st.sampled_from(["reported", "derived", "counted", "unknown"]),
)


def any_record() -> st.SearchStrategy[CallRecord]:
    """Bodies that are chats, streams, or anything; names and counts of every kind."""
    return st.builds(
        a_call,
        seq=st.integers(0, 2**53),
        started_at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
        api=st.sampled_from(["chat_completions", "completions", "embeddings", "responses", "other"]),
        stream=st.booleans(),
        caller=st.none() | _texts,
        deployment=st.none() | _texts | st.text("d", min_size=500, max_size=2000),
        tags=st.dictionaries(_texts, _texts, max_size=3),
        response_model=st.none() | _texts,
        region=st.none() | _texts,
        status=st.none() | st.integers(100, 599),
        usage_source=st.sampled_from(["reported", "estimated", "none"]),
        usage=st.none() | st.dictionaries(_texts, _jsons, max_size=3),
        quantities=st.dictionaries(st.sampled_from([*QUANTITIES]), _quantities, max_size=3),
        cost=st.none() | st.decimals(0, 10**6, places=6).map(Decimal),
        first_byte_ms=st.none() | st.floats(0, 10**7),
        latency_ms=st.floats(0, 10**7),
        request_body=_bodies | _chats,
        response_body=_bodies | _streams,
    )
