"""A month of reserved throughput: which hours were paid, and who used them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from .deployment_types import type_of_sku
from .settings import ReservationSettings
from .sharing import PtuUse, share_reservation

__all__ = ["share_month"]


def share_month(
    reservations: Sequence[ReservationSettings],
    used: Sequence[Mapping[str, Any]],
    by: Sequence[str],
    since: datetime,
    until: datetime,
) -> list[list[Any]]:
    """Rows of a deployment, the groups in ``by``, what it is (``used``, ``idle``, ``spilled over``), normalized tokens,
    hours, the price of one, the amount, its currency, and a note.

    ``used`` are sums of usage by ``by``, ``deployment``, ``sku``, ``model`` and ``spillover_from``. What spilled over
    was served elsewhere, and costs what its calls cost.
    """
    rows: list[list[Any]] = []
    for reservation in reservations:
        of_it = [row for row in used if row["deployment"] == reservation.deployment]
        uses = [
            PtuUse(
                tuple(row[name] for name in by),
                reservation.model or row["model"],
                row["input_tokens"],
                row["cached_input_tokens"],
                row["output_tokens"],
            )
            for row in of_it
            if not row["spillover_from"] and type_of_sku(row["sku"]) == "ptu" and row["total_tokens"]
        ]
        shares = share_reservation(
            reservation.units * _hours(reservation, since, until),
            Decimal(reservation.hourly),
            reservation.currency,
            reservation.name,
            uses,
        )
        for share in shares:
            group = share.group or tuple(None for _ in by)
            what = "idle" if share.group is None else "used"
            line = share.line
            amount = None if line.amount is None else f"{line.amount:f}"
            rows.append(
                [
                    *(reservation.deployment, *group, what, share.tokens, f"{line.quantity:f}"),
                    *(f"{reservation.hourly:f}", amount, reservation.currency, line.reason),
                ]
            )
        for row in of_it:
            if row["spillover_from"]:
                group = tuple(row[name] for name in by)
                note = "unpriced" if row["cost"] is None else None
                rows.append(
                    [
                        *(reservation.deployment, *group, "spilled over", row["total_tokens"], None, None),
                        *(row["cost"], row["currency"], note),
                    ]
                )
    return rows


def _hours(reservation: ReservationSettings, since: datetime, until: datetime) -> Decimal:
    """Of the month, those for which it is there, by the minute."""
    first = since if reservation.since is None else max(since, reservation.since)
    last = until if reservation.until is None else min(until, reservation.until)
    minutes = max(0, int((last - first).total_seconds() // 60))
    return (Decimal(minutes) / 60).quantize(Decimal("0.0001"))
