"""How many tokens a text is, for any text.

Special tokens written in a text are ordinary characters to the API, so they are here. tiktoken panics on
a million white-space characters in a row, with an exception that is no ``Exception``; so long texts are
counted in pieces, cut where no token can lie across the cut.
"""

import re
from collections.abc import Iterator

import tiktoken

from .shipped import load

__all__ = ["count"]

# tiktoken 0.14 panics just under 1,000,000 white-space characters in a row (its regex engine's backtrack
# limit); less than half of that leaves room for an engine with a lower one.
_PIECE = 400_000

# Both patterns end a token after a letter that is followed by a space.
_CUT = re.compile(r"[A-Za-z](?= [A-Za-z])")
_CUT_WITHIN = 4_000


def count(text: str, encoding: str) -> int:
    """Tokens of ``text``: what ``encode_ordinary`` says, in linear time, never raising for a text.

    A text above 400,000 characters with no spaces between letters may count a token or two more per cut.
    Releases the GIL; 100 KB take about 3 ms.
    """
    encoder = load(encoding)
    return sum(_count_piece(piece, encoder) for piece in _pieces(text))


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _PIECE:
        end = start + _PIECE
        cuts = [match.end() for match in _CUT.finditer(text, end - _CUT_WITHIN, end)]
        end = cuts[-1] if cuts else end
        yield text[start:end]
        start = end
    yield text[start:]


def _count_piece(piece: str, encoder: tiktoken.Encoding) -> int:
    try:
        return len(encoder.encode_ordinary(piece))
    except BaseException as panic:
        # pyo3_runtime.PanicException cannot be imported, and is not an Exception.
        if type(panic).__name__ != "PanicException" or len(piece) < 2:
            raise
        middle = len(piece) // 2
        return _count_piece(piece[:middle], encoder) + _count_piece(piece[middle:], encoder)
