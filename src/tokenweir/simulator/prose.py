"""Text that has exactly as many tokens as it should, and still reads like text.

Every word below is one token in both vocabularies, with and without the space before it where it can
stand first, and so is every mark between them. The pre-tokenizers cut at exactly these places, so the
tokens of a text are its pieces, and any prefix of whole pieces counts as its number of pieces. That is
not taken on trust: each text is counted before it is used.
"""

import re
from functools import lru_cache

from .. import vocabulary

__all__ = ["SENTENCES", "about", "phrase", "words"]

SENTENCES = (
    "The river comes down from the hills in the early morning, and nobody asks where it is going.",
    "A low dam stands across it, long and wide, made of stone that was cut well before the mill.",
    "Water does not stop at a low dam; it rises a little, bends over the edge, and goes on.",
    "Behind the wall there is a small pool, calm enough for a boat, and a pole with painted marks.",
    "Each day a child walks out to read the marks and writes the number down in a book.",
    "The book is old, the paper is brown, but no page is missing and no line was written twice.",
    "When the snow melts the water is loud and dark, and the marks go under one by one.",
    "In summer the stones are warm, and people sit there with bread, fruit and coffee.",
    "Nobody who drinks from the river further down can tell that it was measured.",
    "That is the whole idea — the wall counts everything and takes nothing.",
    "Some years the village fights about the water, because the fields are dry and the mill is slow.",
    "Then the book is brought to the table, and the old numbers speak for themselves.",
    "They say who opened the gate, how long it stood open, and how much went through.",
    "Once a storm took half the wall away in a single night, and still the book was saved.",
    "The child had carried it home under a coat, and the last line was already dry.",
    "After the storm the people built the wall again, a little higher on the left side.",
    "You can see the new stones today, lighter than the others, if you stand on the bridge.",
    "From the bridge you can also see the town, the church, the café and the long road south.",
    "Most visitors look at the water for a minute, take a picture, and walk on.",
    "A few of them stay until evening, when the light turns gold and the birds come back.",
    "It is easy to think that the river is always the same river, and the wall is only a wall.",
    "But the marks on the pole tell a different story, full of quiet years and sudden ones.",
    "Every drop is part of the count, even the ones that fall as rain in the middle of the night.",
    "So the work is simple: keep the edge level, keep the book dry, and never hold the water back.",
)

_PARAGRAPH = 6  # sentences
_PIECE = re.compile(r" ?[^\W\d_]+| ?[^\w\s]+\n*")


def _pieces() -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The whole prose as pieces, and where each sentence starts."""
    pieces: list[str] = []
    starts: list[int] = []
    for number, sentence in enumerate(SENTENCES, start=1):
        starts.append(len(pieces))
        leading = "" if number % _PARAGRAPH == 1 else " "
        ending = "\n\n" if number % _PARAGRAPH == 0 else ""
        pieces += _PIECE.findall(leading + sentence + ending)
    return tuple(pieces), tuple(starts)


_PIECES, _STARTS = _pieces()


@lru_cache(maxsize=256)
def words(count: int, seed: int, encoding: str, *, ends: bool = True) -> tuple[str, ...]:
    """Exactly ``count`` tokens of text, one a piece; the same for the same seed.

    ``ends`` closes the text with a full stop where one can stand; without it the text is cut off.
    """
    if count == 0:
        return ()
    start = _STARTS[seed % len(_STARTS)]
    chosen = [_PIECES[(start + offset) % len(_PIECES)] for offset in range(count)]
    chosen[0] = chosen[0].lstrip()
    if ends and count > 1 and chosen[-2][-1].isalpha():
        chosen[-1] = "."
    found = vocabulary.count("".join(chosen), encoding)
    if found != count:
        raise AssertionError(f"{count} pieces of prose are {found} tokens of {encoding} (seed {seed})")
    return tuple(chosen)


def about(count: int, seed: int) -> int:
    """The length in tokens of the first whole sentences that have at least ``count``."""
    start = _STARTS[seed % len(_STARTS)]
    length = count
    while _PIECES[(start + length - 1) % len(_PIECES)].strip() != ".":
        length += 1
    return length


def phrase(count: int, seed: int) -> str:
    """``count`` words without marks, a token each; for the inside of a JSON string."""
    start = _STARTS[seed % len(_STARTS)]
    spoken = (_PIECES[(start + offset) % len(_PIECES)].strip() for offset in range(2 * count))
    return " ".join([word for word in spoken if word.isalpha()][:count])
