"""Text with exact counts, in both vocabularies."""

import pytest
from hypothesis import example, given, settings, strategies as st

from tokenweir import vocabulary
from tokenweir.simulator.prose import SENTENCES, about, phrase, words

ENCODINGS = ["o200k_base", "cl100k_base"]
seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=60)
@given(count=st.integers(0, 3000), seed=seeds, ends=st.booleans())
@example(count=0, seed=0, ends=True)
@example(count=1, seed=0, ends=True)
@example(count=2, seed=5, ends=False)
@example(count=3000, seed=23, ends=True)
def test_text_has_exactly_the_tokens_asked_for(encoding: str, count: int, seed: int, ends: bool) -> None:
    text = "".join(words(count, seed, encoding, ends=ends))
    assert len(vocabulary.load(encoding).encode_ordinary(text)) == count


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=60)
@given(count=st.integers(1, 400), seed=seeds, data=st.data())
def test_any_prefix_has_as_many_tokens_as_pieces(encoding: str, count: int, seed: int, data: st.DataObject) -> None:
    pieces = words(count, seed, encoding)
    cut = data.draw(st.integers(0, count))
    assert vocabulary.count("".join(pieces[:cut]), encoding) == cut


@pytest.mark.parametrize("start", range(len(SENTENCES)))
def test_a_text_starts_with_a_sentence_and_ends_with_one(start: int) -> None:
    text = "".join(words(about(20, start), start, "o200k_base"))
    assert text.startswith(SENTENCES[start])
    assert text.endswith(".")


def test_a_text_that_is_cut_off_has_no_full_stop() -> None:
    assert "".join(words(5, 0, "o200k_base", ends=False)) == "The river comes down from"
    assert "".join(words(5, 0, "o200k_base")) == "The river comes down."


def test_the_same_seed_says_the_same_and_another_says_something_else() -> None:
    assert words(50, 7, "o200k_base") == words(50, 7, "o200k_base")
    assert words(50, 7, "o200k_base") != words(50, 8, "o200k_base")


def test_the_prose_has_characters_of_several_bytes() -> None:
    text = "".join(words(600, 0, "o200k_base"))
    assert "café" in text
    assert "—" in text


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=60)
@given(count=st.integers(1, 500), seed=seeds)
def test_a_phrase_adds_exactly_its_words_to_a_json_string(encoding: str, count: int, seed: int) -> None:
    one = vocabulary.count('{"place":"river"}', encoding)
    assert vocabulary.count(f'{{"place":"{phrase(count, seed)}"}}', encoding) == one + count - 1
