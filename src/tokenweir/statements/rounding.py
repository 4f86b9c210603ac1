"""Amounts to the cent that add up: to their groups, and groups to the whole.

Exact amounts have up to twelve decimals. The whole is rounded once, half to even; its cents are then shared out by the
largest remainder (Hamilton's method): each part gets its amount rounded down, and the cents that are left go to the
parts that lost most by it, of equal ones to the first. No part is more than a cent away from its exact amount.
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Final

__all__ = ["minor_unit", "rounded", "shared_out"]

_EXACT: Final = Context(prec=100)

# ISO 4217 has two decimals for all currencies but these.
_DECIMALS: Final = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV"), 0),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


def minor_unit(currency: str | None) -> Decimal:
    """The smallest amount of a currency: a cent of most."""
    return Decimal(1).scaleb(-_DECIMALS.get(currency or "", 2))


def rounded(amount: Decimal, unit: Decimal) -> Decimal:
    """To a whole number of units, half to even."""
    return amount.quantize(unit, ROUND_HALF_EVEN, _EXACT)


def shared_out(whole: Decimal, parts: Sequence[Decimal], unit: Decimal) -> list[Decimal]:
    """The parts to whole units, so that they add up to ``whole``, which is the exact sum rounded down or up."""
    shares = [part.quantize(unit, ROUND_FLOOR, _EXACT) for part in parts]
    left = int(_EXACT.divide(whole - _EXACT.create_decimal(sum(shares, Decimal(0))), unit)) if parts else 0
    lost = sorted(range(len(parts)), key=lambda place: shares[place] - parts[place])
    for place in lost[:left]:
        shares[place] += unit
    return shares
