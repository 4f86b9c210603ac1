"""Price rows that catch more than one model: what models are listed at, to say where one price is wrong for some.

Nothing is charged by these numbers here. They are Azure's list prices for a million tokens of text, input and output,
of a global deployment on the standard tier.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from .azure_list import azure_rows
from .price_list import VERSION, fits, rank
from .settings import PriceSettings
from .tiers import STANDARD, known_as

__all__ = ["Mixed", "mixed_rows"]


@cache
def _listed() -> dict[str, tuple[Decimal, Decimal]]:
    """Of rows that begin one after the other, the last; versions of one model are not told apart."""
    plain = (row for row in azure_rows() if row.deployment_type == "global" and not row.region and not row.input_above)
    return {
        row.model: (row.input, row.output)
        for row in plain
        if not VERSION.search(row.model)
        and row.service_tier is None
        and row.input is not None
        and row.output is not None
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
        listed = _listed()
        cheap, dear = (f"{name} (listed at ${listed[name][0]} and ${listed[name][1]})" for name in self[2:])
        return f'"{self.row.model}" fits {cheap} and also {dear}; give each a row of its own, like "{self.cheap}*"'


def mixed_rows(rows: Sequence[PriceSettings]) -> Iterator[Mixed]:
    """Those that catch two models whose list prices differ, and for which there is no longer row. Rows that charge
    nothing are meant to."""
    listed = _listed() if any(row.model.endswith("*") for row in rows) else {}
    for number, row in enumerate(rows, start=1):
        if not row.model.endswith("*") or not (row.input or row.output):
            continue
        caught = [name for name in listed if fits(row.model, name) and _is_charged_by(row, name, rows)]
        caught.sort(key=lambda name: sum(listed[name]))
        if caught and listed[caught[0]] != listed[caught[-1]]:
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
