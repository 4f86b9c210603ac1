"""What is paid as a whole, shared out: hours of provisioned throughput, and one line of an invoice.

Pure, and exact: what is shared out is, to the last of twelve decimals, what was paid. How much of a deployment a token
takes is Microsoft's own measure: input, less what was cached, and output times a factor of the model's family, held
against the tokens of input that a unit serves in a minute (Microsoft Learn, *provisioned throughput*, September 2026).
"""

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Final, NamedTuple

from ..records import ChargeLine
from .meters import METERS
from .price_list import VERSION
from .rates import EXACT

__all__ = ["FAMILIES", "PtuFamily", "PtuShare", "PtuUse", "normalized_tokens", "share_out", "share_reservation"]

_METER: Final = "ptu_hour"
_HOURS: Final = Decimal("1E-6")
"""A price has six decimals at most, so an amount has twelve."""
_MONEY: Final = Decimal("1E-12")


class PtuFamily(NamedTuple):
    """How much of a unit of provisioned throughput the tokens of a model take."""

    output_factor: int
    """As many tokens of input one of output counts as."""
    tokens_per_minute: int
    """Of input, that one unit serves."""


FAMILIES: Final = {
    "gpt-4.1": PtuFamily(4, 3_000),
    "gpt-4.1-mini": PtuFamily(4, 14_900),
    "gpt-4.1-nano": PtuFamily(4, 59_400),
    "gpt-4o": PtuFamily(4, 2_500),
    "gpt-4o-mini": PtuFamily(4, 37_000),
    "gpt-5": PtuFamily(8, 4_750),
    "gpt-5-mini": PtuFamily(8, 23_750),
    "gpt-5.1": PtuFamily(8, 4_750),
    "gpt-5.2": PtuFamily(8, 3_400),
    "gpt-5.4": PtuFamily(6, 2_400),
    "gpt-5.5": PtuFamily(6, 1_200),
    "o3": PtuFamily(4, 3_000),
    "o4-mini": PtuFamily(4, 5_400),
}
"""By model, without the date of a version. A model that is not here has no known measure."""


class PtuUse(NamedTuple):
    """What somebody used of provisioned deployments in a time, without what spilled over."""

    group: tuple[str | None, ...]
    model: str | None
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int


class PtuShare(NamedTuple):
    """Somebody's part of what was reserved."""

    group: tuple[str | None, ...] | None
    """``None``: nobody used it."""
    tokens: int | None
    """Normalized; ``None`` where nobody knows the measure of the model, and of what was idle."""
    line: ChargeLine


def normalized_tokens(use: PtuUse) -> int | None:
    """By Microsoft's measure; ``None`` for a model whose is not known."""
    family = _family(use.model)
    if family is None:
        return None
    return use.input_tokens - use.cached_input_tokens + family.output_factor * use.output_tokens


def share_reservation(
    hours: Decimal, hourly: Decimal, currency: str, price_id: str, uses: Sequence[PtuUse]
) -> list[PtuShare]:
    """A line for each use, and a last one for what was idle; together they are ``hours`` at the price of one.

    ``hours`` are those of all units together. Where more was used than they serve, everybody's part is smaller, and
    nothing was idle. What a model used whose measure is not known is a line without an amount, and stays in the last.
    """
    taken: list[Decimal] = []
    with localcontext(EXACT):
        for use in uses:
            tokens, family = normalized_tokens(use), _family(use.model)
            taken.append(
                Decimal(0) if tokens is None or family is None else Decimal(tokens) / (family.tokens_per_minute * 60)
            )
        if sum(taken) >= hours:
            parts = share_out(hours, taken, _HOURS)
        else:
            parts = [one.quantize(_HOURS, ROUND_DOWN) for one in taken]
    shares = [
        PtuShare(
            use.group,
            normalized_tokens(use),
            _line(part, hourly, currency, price_id)
            if _family(use.model) is not None
            else ChargeLine(_METER, 0, METERS[_METER].unit, hourly, 1, None, price_id, "no_ptu_measure", currency),
        )
        for use, part in zip(uses, parts, strict=True)
    ]
    return [*shares, PtuShare(None, None, _line(hours - sum(parts), hourly, currency, price_id))]


def share_out(total: Decimal, weights: Sequence[Decimal], smallest: Decimal = _MONEY) -> list[Decimal]:
    """A total by weights, none negative and one above 0. The parts are multiples of ``smallest`` and add up to it: what
    rounding leaves goes to those that it took most from.

    Raises:
        ValueError: all weights are 0.
    """
    whole = sum(weights)
    if not whole:
        raise ValueError("nothing to share by")
    with localcontext(EXACT):
        exact = [total * weight / whole for weight in weights]
        parts = [one.quantize(smallest, ROUND_DOWN) for one in exact]
        left = int((total - sum(parts)) / smallest)
        for number in sorted(range(len(parts)), key=lambda n: (parts[n] - exact[n], n))[:left]:
            parts[number] += smallest
    return parts


def _line(hours: Decimal, hourly: Decimal, currency: str, price_id: str) -> ChargeLine:
    amount = EXACT.multiply(hours, hourly)
    return ChargeLine(_METER, hours, METERS[_METER].unit, hourly, 1, amount, price_id, None, currency)


def _family(model: str | None) -> PtuFamily | None:
    return None if model is None else FAMILIES.get(VERSION.sub("", model))
