import pytest
from hypothesis import given, strategies as st

from tokenweir.vocabulary import count, load
from tokenweir.vocabulary.counting import _count_piece

ENCODINGS = ["cl100k_base", "o200k_base"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=st.text(max_size=400))
def test_count_is_what_tiktoken_counts(encoding: str, text: str) -> None:
    assert count(text, encoding) == len(load(encoding).encode_ordinary(text))


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=st.text(alphabet=st.characters(exclude_categories=()), max_size=50))
def test_lone_surrogates_are_counted(encoding: str, text: str) -> None:
    assert (count(text, encoding) > 0) == bool(text)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_special_tokens_in_a_text_are_ordinary_text(encoding: str) -> None:
    assert count("<|endoftext|>", encoding) > 1


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_long_text_counts_the_same_in_pieces(encoding: str) -> None:
    text = "The weir keeps its level, whatever the river brings; isn't that so?\n\n" * 12_000
    assert len(text) > 800_000
    assert count(text, encoding) == len(load(encoding).encode_ordinary(text))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_long_text_without_spaces_is_cut_all_the_same(encoding: str) -> None:
    text = "水位" * 250_000
    assert count(text, encoding) == pytest.approx(len(load(encoding).encode_ordinary(text)), abs=4)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_million_spaces_do_not_panic(encoding: str) -> None:
    assert 7_000 < count(" " * 1_200_000, encoding) < 10_000


def test_a_panic_of_the_tokenizer_does_not_escape() -> None:
    panicking = " " * 1_100_000
    encoder = load("o200k_base")
    with pytest.raises(BaseException) as raised:
        encoder.encode_ordinary(panicking)
    assert not isinstance(raised.value, Exception)
    assert 7_000 < _count_piece(panicking, encoder) < 10_000
