"""What Azure lists, from the table that ships with this program (``scripts/prices.py`` makes it). Nobody's contract.

Each row is of one model as one kind of deployment serves it on one tier, from a day on, and each price in it has the
name of Azure's own meter, or of the field of the source that tells it.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from .settings import Moment, Price, PriceSettings

__all__ = ["ListedRow", "azure_list", "azure_rows", "read_table"]

_CURRENCY = "USD"


class ListedRow(NamedTuple):
    """A row of the table: its prices, and how they are known."""

    row: PriceSettings
    source: str
    """``azure``: a meter of Azure's own price list; ``litellm``: that package's table."""
    confidence: str
    """``high``, ``medium`` (Azure rounds its prices of a thousand tokens) or ``low``."""
    meters: dict[str, str]
    """The source's name of each price."""


@cache
def azure_list() -> tuple[ListedRow, ...]:
    """All rows, in the order of their names."""
    return read_table(files(__package__).joinpath("azure_prices.tsv").read_text("utf-8"))


def read_table(text: str) -> tuple[ListedRow, ...]:
    """The rows of such a table. Raises ValueError, KeyError or StopIteration for another."""
    return tuple(_rows(line for line in text.splitlines() if not line.startswith("#")))


@cache
def azure_rows() -> tuple[PriceSettings, ...]:
    """The rows alone."""
    return tuple(listed.row for listed in azure_list())


def _rows(lines: Iterator[str]) -> Iterator[ListedRow]:
    names = next(lines).split("\t")
    for line in lines:
        told = dict(zip(names, line.split("\t"), strict=True))
        prices: dict[str, Any] = {}
        meters: dict[str, str] = {}
        for one in told["prices"].split(";"):
            meter, price, meters[meter] = one.split("=", 2)
            prices[meter] = Price(price)
        yield ListedRow(
            PriceSettings(
                model=told["model"],
                currency=_CURRENCY,
                service_tier=told["tier"] or None,
                deployment_type=told["type"],  # type: ignore[arg-type]  # the script writes no other
                region=told["regions"] or None,
                input_above=int(told["above"] or 0),
                since=Moment.parse(told["since"]),
                id=_name(told),
                **prices,
            ),
            told["source"],
            told["confidence"],
            meters,
        )


def _name(told: dict[str, str]) -> str:
    """``azure:gpt-5.4/global/batch>272000@2026-06-01``"""
    named = "/".join(
        part for part in (told["model"], told["type"], told["regions"].partition(" ")[0], told["tier"]) if part
    )
    return f"azure:{named}{'>' + told['above'] if told['above'] else ''}@{told['since']}"
