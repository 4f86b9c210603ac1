"""What is reserved is never less than what text can be, and never more than a model can do, whatever a caller says."""

import pytest
from hypothesis import given, strategies as st

from tokenweir.limits import Estimate, estimate_of
from tokenweir.limits.models import UNKNOWN, capacity_of
from tokenweir.vocabulary import load

CHAT = b'{"messages":[{"role":"user","content":"%s"}]}'


def estimate(
    body: bytes = CHAT, *, kind: str | None = "chat", model: str = "gpt-4o", most: int = 0, answers: int = 1
) -> Estimate:
    return estimate_of(kind, model, body, len(body), most, answers, bytes_per_token=2, assumed_output=1000)


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox jumps over the lazy dog. " * 20,
        "Der schnelle braune Fuchs springt über den faulen Hund. " * 20,
        "敏捷的棕色狐狸跳过了懒狗。" * 20,
        "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ " * 20,
        "def f(x):\n    return {y: x[y] for y in x if y is not None}\n" * 20,
    ],
)
def test_a_prompt_in_any_language_has_no_more_tokens_than_are_reserved(text: str) -> None:
    tokens = len(load("o200k_base").encode(text))
    assert tokens <= estimate(CHAT % text.encode()).prompt


@given(st.integers(-(10**12), 10**12), st.integers(-5, 10**9))
def test_a_lie_about_the_answer_reserves_no_more_than_the_model_can_write(most: int, answers: int) -> None:
    output = estimate(most=most, answers=answers).output
    assert 0 < output <= 128 * capacity_of("gpt-4o").output
    if answers <= 1:
        assert output == (min(most, 16_384) if most > 0 else 1000)


def test_a_picture_inside_the_body_is_no_text() -> None:
    picture = b'{"url":"data:image/png;base64,' + b"A" * 400_000 + b'"}'
    assert estimate(picture + picture).prompt < 5_000


def test_a_picture_that_never_ends_is_one() -> None:
    assert 0 < estimate(b" " * 9000 + b";base64," + b"A" * 100_000).prompt < 10_000


def test_embeddings_write_nothing() -> None:
    assert estimate(kind="input", most=500).output == 0


def test_what_is_not_counted_in_tokens_reserves_none() -> None:
    reserved = estimate(kind=None, most=500)
    assert (reserved.prompt, reserved.output) == (0, 0)


def test_a_prompt_is_no_longer_than_what_the_model_reads() -> None:
    assert estimate(b"x" * 10_000_000).prompt == 128_000


@pytest.mark.parametrize(
    ("model", "context"),
    [("gpt-4o-mini-2024-07-18", 128_000), ("gpt-4.1-nano", 1_047_576), ("gpt-4-0613", 32_768), ("my-own", 1_050_000)],
)
def test_the_longest_beginning_of_a_name_counts(model: str, context: int) -> None:
    assert capacity_of(model).context == context


def test_names_from_strangers_are_forgotten() -> None:
    for number in range(5_000):
        assert capacity_of(f"invented-{number}") is UNKNOWN
