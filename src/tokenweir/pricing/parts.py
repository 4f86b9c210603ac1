"""What a call used, by meter, so that every token is charged once.

    input   = text | audio | image, each of them fresh or cached; fresh text is written to the cache, or is not
    output  = text (with reasoning) | audio | image

Upstreams say how large some of these are and how large some of their sums. Where they do not say which of the cached
tokens are audio or images, text is taken to be cached first. Parts that are told to be larger than the whole are cut.
"""

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Final

from ..records import Usage, plain_amount
from .meters import METERS

__all__ = ["UNKNOWN", "parts_of"]

Amount = int | Decimal
Part = tuple[str, Amount]
"""A meter and its quantity."""

UNKNOWN: Final = ""
"""Stands for the meter of something of which nobody knows how much was used."""

_OF_QUANTITIES: Final = {
    meter.part: name for name, meter in METERS.items() if not meter.part.startswith("cache_write_") and meter.part
}
_MILLIONTH: Final = Decimal("0.000001")


def parts_of(usage: Usage, priced: Collection[str]) -> list[Part]:
    """Every meter with what the call used of it, without those that it did not use; ``priced`` are the meters that have
    a price, by which two questions are decided. Images that a model sees are charged as text, as models do that see,
    where they have none; and what may be counted beside what is billed is only charged where it has one."""
    parts: list[Part]
    if _is_plain(usage):
        parts = [
            (name, tokens)
            for name, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens))
            if tokens
        ]
    else:
        parts = [part for part in _of_input(usage, "input_image" in priced) if part[1]]
        parts += [part for part in _of_output(usage) if part[1]]
    if usage.quantities:
        parts += _of_quantities(usage, priced, in_tokens=bool(parts))
    return parts


def _of_quantities(usage: Usage, priced: Collection[str], *, in_tokens: bool) -> Iterator[Part]:
    for quantity, used in usage.quantities.items():
        name = _OF_QUANTITIES.get(quantity)
        if name is None or (METERS[name].is_only_charged_if_priced and name not in priced and in_tokens):
            continue
        if used.amount is None:
            yield UNKNOWN, 0
        elif used.amount:
            # Of a second, millionths; nothing is billed in less.
            yield name, used.amount if isinstance(used.amount, int) else plain_amount(used.amount.quantize(_MILLIONTH))


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


def _of_input(usage: Usage, with_images: bool) -> Iterator[Part]:
    whole = max(0, usage.input_tokens)
    audio = _within(usage.input_audio_tokens, whole)
    image = _within(usage.input_image_tokens, whole - audio) if with_images else 0
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
    for_an_hour = _within(_tokens(usage, "cache_write_1h_tokens"), written_text)
    for_minutes = _within(_tokens(usage, "cache_write_5m_tokens"), written_text - for_an_hour)
    written_audio = min(written - written_text, audio - cached_audio)
    written_image = written - written_text - written_audio

    yield "input", text - cached_text - written_text
    yield "cached_input", cached_text
    yield "cache_write", written_text - for_minutes - for_an_hour
    yield "cache_write_5m", for_minutes
    yield "cache_write_1h", for_an_hour
    yield "cache_write_media", written_audio + written_image
    yield "input_audio", audio - cached_audio - written_audio
    yield "cached_audio", cached_audio
    yield "input_image", image - cached_image - written_image
    yield "cached_image", cached_image


def _of_output(usage: Usage) -> Iterator[Part]:
    whole = max(0, usage.output_tokens)
    audio = _within(usage.output_audio_tokens, whole)
    image = _within(usage.output_image_tokens, whole - audio)
    yield "output", whole - audio - image
    yield "output_audio", audio
    yield "output_image", image


def _tokens(usage: Usage, quantity: str) -> int:
    told = usage.quantities.get(quantity)
    return int(told.amount) if told is not None and told.amount is not None else 0


def _within(tokens: int, whole: int) -> int:
    return min(max(0, tokens), whole)
