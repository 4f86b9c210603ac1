"""Every shape of ``usage`` that has been recorded, and some that should not be."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tokenweir.metering import read_usage
from tokenweir.records import Usage

CHAT = {
    "prompt_tokens": 1200,
    "completion_tokens": 300,
    "total_tokens": 1500,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 7, "cache_write_tokens": 11, "text_tokens": 3},
    "completion_tokens_details": {
        "reasoning_tokens": 192,
        "audio_tokens": 5,
        "accepted_prediction_tokens": 20,
        "rejected_prediction_tokens": 4,
    },
    "latency_checkpoint": {"engine_ttft_ms": 80},
}
RESPONSES = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 12},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 123,
}


@pytest.mark.parametrize("api", ["chat_completions", "completions"])
def test_chat_usage_has_all_its_counts(api: str) -> None:
    assert read_usage(CHAT, api) == Usage(
        source="reported",
        input_tokens=1200,
        cached_input_tokens=1024,
        cache_write_tokens=11,
        output_tokens=300,
        reasoning_tokens=192,
        input_audio_tokens=7,
        output_audio_tokens=5,
        accepted_prediction_tokens=20,
        rejected_prediction_tokens=4,
        total_tokens=1500,
        raw=CHAT,
    )


@pytest.mark.parametrize("api", ["responses", "other"])
def test_responses_usage_has_other_names(api: str) -> None:
    usage = read_usage(RESPONSES, api)
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (36, 87, 123)
    assert (usage.cached_input_tokens, usage.reasoning_tokens) == (12, 64)


def test_embeddings_have_no_output() -> None:
    usage = read_usage({"prompt_tokens": 8, "total_tokens": 8}, "embeddings")
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (8, 0, 8)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 9, "completion_tokens": 12},
        {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": None},
        {"prompt_tokens": 9, "completion_tokens": 12, "prompt_tokens_details": None},
        {"prompt_tokens": 9, "completion_tokens": 12, "completion_tokens_details": {"reasoning_tokens": None}},
        {"prompt_tokens": 9.0, "completion_tokens": 12, "completion_tokens_details": []},
    ],
)
def test_missing_and_null_are_zero_and_the_total_is_computed(usage: dict[str, Any]) -> None:
    found = read_usage(usage, "chat_completions")
    assert (found.input_tokens, found.output_tokens, found.total_tokens) == (9, 12, 21)
    assert (found.cached_input_tokens, found.reasoning_tokens) == (0, 0)


@pytest.mark.parametrize("nonsense", [-1, "12", [], {}, 10**30, float("inf"), float("nan")])
def test_what_is_no_count_is_zero(nonsense: Any) -> None:
    usage = read_usage({"prompt_tokens": nonsense, "completion_tokens": 2}, "chat_completions")
    assert (usage.input_tokens, usage.total_tokens) == (0, 2)


def test_the_upstreams_own_object_is_kept() -> None:
    partner = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 9, "num_sources_used": 4}
    usage = read_usage(partner, "chat_completions")
    assert usage.raw == partner
    assert usage.total_tokens == 9  # the partner counts its reasoning there, and it is what the partner bills


def test_every_recorded_responses_usage_is_read(shared: Path) -> None:
    rows = [json.loads(line) for line in (shared / "recorded" / "index.jsonl").read_text().splitlines()]
    usages = [row["usage"] for row in rows if row["endpoint"] == "responses" and row["usage"]]
    assert len(usages) > 300
    for recorded in usages:
        usage = read_usage(recorded, "responses")
        assert usage.input_tokens == recorded["input_tokens"]
        assert usage.output_tokens == recorded["output_tokens"]
        assert usage.total_tokens == recorded["total_tokens"]
        assert usage.cached_input_tokens == (recorded.get("input_tokens_details") or {}).get("cached_tokens", 0)


def test_cached_audio_and_images_are_read_wherever_a_session_or_a_chat_says_them() -> None:
    parts = {
        "audio_tokens": 80,
        "image_tokens": 7,
        "text_tokens": 20,
        "cached_tokens": 55,
        "cached_tokens_details": {"text_tokens": 10, "audio_tokens": 40, "image_tokens": 5},
    }
    chat = {"prompt_tokens": 107, "completion_tokens": 10, "prompt_tokens_details": parts}
    session = {"input_tokens": 107, "output_tokens": 10, "input_token_details": parts}
    for usage in (read_usage(chat, "chat_completions"), read_usage(session, "other")):
        assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (107, 10, 117)
        assert (usage.input_audio_tokens, usage.input_image_tokens, usage.cached_input_tokens) == (80, 7, 55)
        assert (usage.cached_audio_tokens, usage.cached_image_tokens) == (40, 5)


def test_image_tokens_of_either_side_are_read() -> None:
    sides = {"input_tokens_details": {"image_tokens": 3}, "output_tokens_details": {"image_tokens": 1056}}
    usage = read_usage({"input_tokens": 5, "output_tokens": 1060} | sides, "other")
    assert (usage.input_image_tokens, usage.output_image_tokens) == (3, 1056)


def test_seconds_are_no_tokens_and_are_kept_as_they_came() -> None:
    usage = read_usage({"type": "duration", "seconds": 9}, "other")
    assert (usage.total_tokens, usage.raw) == (0, {"type": "duration", "seconds": 9})


@pytest.mark.parametrize("nonsense", [1, True, "x", [1], {"cached_tokens": True}, {"cached_tokens_details": 3}, 1.5])
@pytest.mark.parametrize("api", ["chat_completions", "other"])
def test_details_that_are_none_leave_the_other_counts(nonsense: Any, api: str) -> None:
    told = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": nonsense}
    told["completion_tokens_details"] = {"reasoning_tokens": 1}
    usage = read_usage(told, api)
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (9, 2, 1)
    assert (usage.cached_input_tokens, usage.cached_audio_tokens) == (0, 0)


_NAMES = st.sampled_from([*CHAT, *RESPONSES, "input_token_details", "cached_tokens", "cached_tokens_details"])
_numbers = st.integers() | st.integers(2**53, 2**200) | st.floats() | st.booleans()
_anything = st.recursive(
    st.none() | _numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES | st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
_COUNTS = [name for name in Usage.__struct_fields__ if name.endswith("_tokens")]


@given(st.dictionaries(_NAMES | st.text(max_size=5), _anything, max_size=8), st.sampled_from(["responses", "other"]))
def test_whatever_an_upstream_says_gives_counts(told: dict[str, Any], api: str) -> None:
    usage = read_usage(told, api)
    assert usage.raw is told
    for name in set(_COUNTS) - {"total_tokens"}:
        found = getattr(usage, name)
        assert type(found) is int and 0 <= found < 2**53
