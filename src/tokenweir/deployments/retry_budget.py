"""How many requests may be made again, so that a failure everywhere does not multiply the load. Pure."""

from typing import Final

__all__ = ["RetryBudget"]

_FIRST: Final = 100.0
"""What may be made again at once after a quiet time: the calls that one failing target had under way."""


class RetryBudget:
    """Each call pays in a share, each request that is made again takes one out."""

    def __init__(self, share: float) -> None:
        self.share = share
        self._balance = _FIRST if share > 0.0 else 0.0

    def __repr__(self) -> str:
        return f"<RetryBudget {self._balance:.1f}>"

    @property
    def allows(self) -> bool:
        return self._balance >= 1.0

    def call(self) -> None:
        """A call has come."""
        balance = self._balance + self.share
        self._balance = balance if balance < _FIRST else _FIRST

    def retry(self) -> None:
        """A request is made again, as ``allows`` has said."""
        self._balance -= 1.0
