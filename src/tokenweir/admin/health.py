"""Whether everything that should run runs, in checks that a person can read."""

import msgspec

from .relays import RelayStatus

__all__ = ["Check", "readiness"]


class Check(msgspec.Struct, frozen=True):
    """One thing that has to be well, and what is wrong with it if it is not."""

    name: str
    ok: bool
    message: str


def readiness(relays: list[RelayStatus], expected: int, ledger_error: str | None) -> list[Check]:
    """Relays first, each with its journal, then the ledger. A directory of a relay that is no longer
    configured says nothing: only as many are waited for as there should be."""
    fresh = [relay for relay in relays if relay.fresh]
    checks = [
        Check(
            "relays",
            len(fresh) >= expected,
            f"{len(fresh)} of {expected} have said within seconds that they are well",
        )
    ]
    for relay in fresh:
        journal = relay.journal
        failing = journal is not None and journal.failing_since is not None
        error = journal.last_error if journal is not None and failing else None
        checks.append(Check(f"journal of {relay.name}", not failing, error or "is written"))
    checks.append(Check("ledger", ledger_error is None, ledger_error or "takes what the journals hold"))
    return checks
