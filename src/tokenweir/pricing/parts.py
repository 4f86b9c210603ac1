"""What the tokens of a call are made of, so that every token is charged once.

    input   = text | audio | image, each of them fresh or cached; fresh text is written to the cache, or is not
    output  = text (with reasoning) | audio | image

Upstreams say how large some of these are and how large some of their sums. Where they do not say which of the cached
tokens are audio or images, text is taken to be cached first. Parts that are told to be larger than the whole are cut.
"""

from collections.abc import Iterator

from ..records import CallRecord
from .settings import Price, PriceSettings

__all__ = ["NoRate", "charges"]


class NoRate(Exception):
    """A row that has no price for a part of a call."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def charges(record: CallRecord, row: PriceSettings) -> Iterator[tuple[int, Price]]:
    """Tokens and the price of a million of them, for every part that there is. Raises `NoRate`."""
    if record.usage_source == "reported" and not (record.input_tokens or record.output_tokens or record.total_tokens):
        if (record.usage or {}).get("seconds") is not None:
            raise NoRate("not_in_tokens")
    for tokens, price, setting in (*_of_input(record, row), *_of_output(record, row)):
        if tokens:
            if price is None:
                raise NoRate(f"no_{setting}")
            yield tokens, price


_Part = tuple[int, Price | None, str]


def _of_input(record: CallRecord, row: PriceSettings) -> Iterator[_Part]:
    whole = max(0, record.input_tokens)
    audio = _within(record.input_audio_tokens, whole)
    # Models that see charge what they see as text; those that draw have prices of their own.
    image = 0 if row.input_image is None else _within(record.input_image_tokens, whole - audio)
    text = whole - audio - image

    cached = _within(record.cached_input_tokens, whole)
    cached_audio = _within(record.cached_audio_tokens, min(audio, cached))
    cached_image = _within(record.cached_image_tokens, min(image, cached - cached_audio))
    cached_text = min(text, cached - cached_audio - cached_image)
    untold = cached - cached_audio - cached_image - cached_text
    more_image = min(untold, image - cached_image)
    cached_image += more_image
    cached_audio += untold - more_image

    written = _within(record.cache_write_tokens, whole - cached)
    written_text = min(written, text - cached_text)

    yield text - cached_text - written_text, row.input, "input"
    yield cached_text, row.input if row.cached_input is None else row.cached_input, "cached_input"
    yield written_text, row.cache_write, "cache_write"
    yield audio - cached_audio, row.input_audio, "input_audio"
    yield cached_audio, row.cached_audio, "cached_audio"
    yield image - cached_image, row.input_image, "input_image"
    yield cached_image, row.cached_image, "cached_image"
    # Nobody has a price for audio or images that are written to a cache.
    yield written - written_text, None, "cache_write"


def _of_output(record: CallRecord, row: PriceSettings) -> Iterator[_Part]:
    whole = max(0, record.output_tokens)
    audio = _within(record.output_audio_tokens, whole)
    image = _within(record.output_image_tokens, whole - audio)
    yield whole - audio - image, row.output, "output"
    yield audio, row.output_audio, "output_audio"
    yield image, row.output if row.output_image is None else row.output_image, "output_image"


def _within(tokens: int, whole: int) -> int:
    return min(max(0, tokens), whole)
