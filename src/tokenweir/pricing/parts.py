"""What the tokens of a call are made of, so that every token is charged once.

    input   = text | audio | image, each of them fresh or cached; fresh text is written to the cache, or is not
    output  = text (with reasoning) | audio | image

Upstreams say how large some of these are and how large some of their sums. Where they do not say which of the cached
tokens are audio or images, text is taken to be cached first. Parts that are told to be larger than the whole are cut.
"""

from collections.abc import Iterator

from ..records import Usage
from .settings import Price, PriceSettings

__all__ = ["NoRate", "charges"]


class NoRate(Exception):
    """A row that has no price for a part of a call."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def charges(usage: Usage, row: PriceSettings) -> Iterator[tuple[int, Price]]:
    """Tokens and the price of a million of them, for every part that there is; of seconds, millionths and the price of
    one. Raises `NoRate`."""
    heard = usage.quantities.get("input_audio_seconds")
    if heard is not None and heard.amount:
        if row.input_audio_second is None:
            raise NoRate("no_input_audio_second")
        yield round(heard.amount * 1_000_000), row.input_audio_second
    elif usage.source == "reported" and not (usage.input_tokens or usage.output_tokens or usage.total_tokens):
        if (usage.raw or {}).get("seconds") is not None:
            raise NoRate("not_in_tokens")
    parts: tuple[_Part, ...]
    if _is_plain(usage):
        parts = ((usage.input_tokens, row.input, "input"), (usage.output_tokens, row.output, "output"))
    else:
        parts = (*_of_input(usage, row), *_of_output(usage, row))
    for tokens, price, setting in parts:
        if tokens:
            if price is None:
                raise NoRate(f"no_{setting}")
            yield tokens, price


_Part = tuple[int, Price | None, str]


def _is_plain(usage: Usage) -> bool:
    """Whether all tokens are fresh text, as those of most calls are."""
    return (
        usage.input_tokens >= 0
        and usage.output_tokens >= 0
        and not (
            usage.cached_input_tokens
            or usage.cache_write_tokens
            or usage.input_audio_tokens
            or usage.output_audio_tokens
            or usage.input_image_tokens
            or usage.output_image_tokens
        )
    )


def _of_input(usage: Usage, row: PriceSettings) -> Iterator[_Part]:
    whole = max(0, usage.input_tokens)
    audio = _within(usage.input_audio_tokens, whole)
    # Models that see charge what they see as text; those that draw have prices of their own.
    image = 0 if row.input_image is None else _within(usage.input_image_tokens, whole - audio)
    text = whole - audio - image

    cached = _within(usage.cached_input_tokens, whole)
    cached_audio = _within(usage.cached_audio_tokens, min(audio, cached))
    cached_image = _within(usage.cached_image_tokens, min(image, cached - cached_audio))
    cached_text = min(text, cached - cached_audio - cached_image)
    untold = cached - cached_audio - cached_image - cached_text
    more_image = min(untold, image - cached_image)
    cached_image += more_image
    cached_audio += untold - more_image

    written = _within(usage.cache_write_tokens, whole - cached)
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


def _of_output(usage: Usage, row: PriceSettings) -> Iterator[_Part]:
    whole = max(0, usage.output_tokens)
    audio = _within(usage.output_audio_tokens, whole)
    image = _within(usage.output_image_tokens, whole - audio)
    yield whole - audio - image, row.output, "output"
    yield audio, row.output_audio, "output_audio"
    yield image, row.output if row.output_image is None else row.output_image, "output_image"


def _within(tokens: int, whole: int) -> int:
    return min(max(0, tokens), whole)
