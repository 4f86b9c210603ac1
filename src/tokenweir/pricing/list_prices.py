"""Price rows that catch more than one model: what models are listed at, to say where one price is wrong for some.

Nothing is charged by these numbers. They are dollars for a million tokens of text, input and output, on the standard
tier, as genai-prices 0.2.3 (MIT) lists them; of tiers by length, the first. What is not listed is not compared.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from .price_list import fits, rank
from .settings import PriceSettings
from .tiers import STANDARD, known_as

__all__ = ["Mixed", "mixed_rows"]

_LISTED: Final[dict[str, tuple[float, float]]] = {
    "claude-fable-5": (10, 50),
    "claude-haiku-4-5": (1, 5),
    "claude-opus-4-1": (15, 75),
    "claude-opus-4-5": (5, 25),
    "claude-opus-4-6": (5, 25),
    "claude-sonnet-4-5": (3, 15),
    "claude-sonnet-4-6": (3, 15),
    "gpt-35-turbo": (0.5, 1.5),
    "gpt-4": (30, 60),
    "gpt-4-32k": (60, 120),
    "gpt-4-turbo": (10, 30),
    "gpt-4.1": (2, 8),
    "gpt-4.1-mini": (0.4, 1.6),
    "gpt-4.1-nano": (0.1, 0.4),
    "gpt-4o": (2.5, 10),
    "gpt-4o-mini": (0.15, 0.6),
    "gpt-4o-mini-realtime-preview": (0.6, 2.4),
    "gpt-4o-mini-transcribe": (1.25, 5),
    "gpt-4o-mini-tts": (0.6, 12),
    "gpt-4o-realtime-preview": (5, 20),
    "gpt-5": (1.25, 10),
    "gpt-5-mini": (0.25, 2),
    "gpt-5-nano": (0.05, 0.4),
    "gpt-5-pro": (15, 120),
    "gpt-5.1": (1.25, 10),
    "gpt-5.1-codex-mini": (0.25, 2),
    "gpt-5.2": (1.75, 14),
    "gpt-5.2-pro": (21, 168),
    "gpt-5.3-codex": (1.75, 14),
    "gpt-5.4": (2.5, 15),
    "gpt-5.4-mini": (0.75, 4.5),
    "gpt-5.4-nano": (0.2, 1.25),
    "gpt-5.4-pro": (30, 180),
    "gpt-5.5": (5, 30),
    "gpt-5.5-pro": (30, 180),
    "gpt-5.6-luna": (1, 6),
    "gpt-5.6-sol": (5, 30),
    "gpt-5.6-terra": (2.5, 15),
    "gpt-audio": (2.5, 10),
    "gpt-audio-mini": (0.6, 2.4),
    "gpt-image-1": (5, 40),
    "gpt-image-1-mini": (2, 8),
    "gpt-realtime": (4, 16),
    "gpt-realtime-mini": (0.6, 2.4),
    "o1": (15, 60),
    "o1-mini": (1.1, 4.4),
    "o1-pro": (150, 600),
    "o3": (2, 8),
    "o3-deep-research": (10, 40),
    "o3-mini": (1.1, 4.4),
    "o3-pro": (20, 80),
    "o4-mini": (1.1, 4.4),
}


class Mixed(NamedTuple):
    """A row whose beginning of a name is that of models with different list prices."""

    number: int
    """Its place in the list, from 1."""
    row: PriceSettings
    cheap: str
    dear: str

    def __str__(self) -> str:
        """For a person."""
        cheap, dear = (f"{name} (listed at ${_LISTED[name][0]:g} and ${_LISTED[name][1]:g})" for name in self[2:])
        return f'"{self.row.model}" fits {cheap} and also {dear}; give each a row of its own, like "{self.cheap}*"'


def mixed_rows(rows: Sequence[PriceSettings]) -> Iterator[Mixed]:
    """Those that catch two models whose list prices differ, and for which there is no longer row. Rows that charge
    nothing are meant to."""
    for number, row in enumerate(rows, start=1):
        if not row.model.endswith("*") or not (row.input or row.output):
            continue
        caught = [name for name in _LISTED if fits(row.model, name) and _is_charged_by(row, name, rows)]
        caught.sort(key=lambda name: sum(_LISTED[name]))
        if caught and _LISTED[caught[0]] != _LISTED[caught[-1]]:
            yield Mixed(number, row, caught[0], caught[-1])


def _is_charged_by(row: PriceSettings, name: str, rows: Sequence[PriceSettings]) -> bool:
    """Whether no other row for the same calls, or for more, fits the name better."""
    tier = known_as(row.service_tier or STANDARD)
    return not any(
        fits(other.model, name)
        and known_as(other.service_tier or STANDARD) == tier
        and other.sku in (None, row.sku)
        and other.deployment in (None, row.deployment)
        and rank(other)[:2] > rank(row)[:2]
        for other in rows
    )
