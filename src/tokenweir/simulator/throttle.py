"""The rate limits of a deployment, as Azure holds them: so many requests and tokens in a minute, then 429."""

from collections import defaultdict, deque
from math import ceil

import msgspec

from ..records import Clock
from .settings import SimulatorSettings

__all__ = ["Throttle"]

_MINUTE = 60.0


class _Spent(msgspec.Struct):
    """What a deployment was asked and has used within the last minute, and when."""

    requests: deque[float] = msgspec.field(default_factory=deque)
    uses: deque[tuple[float, int]] = msgspec.field(default_factory=deque)
    tokens: int = 0


class Throttle:
    """Counts requests when they come and tokens when they have been used. One per simulator."""

    def __init__(self, settings: SimulatorSettings, clock: Clock) -> None:
        self._requests = settings.requests_per_minute
        self._tokens = settings.tokens_per_minute
        self._clock = clock
        self._spent: dict[str, _Spent] = defaultdict(_Spent)

    def wait(self, deployment: str) -> int | None:
        """Whole seconds until the deployment has room for a call; None: it has, and the call counts from now on."""
        if self._requests is None and self._tokens is None:
            return None
        spent, now = self._recent(deployment)
        if self._requests is not None and len(spent.requests) >= self._requests:
            return max(1, ceil(spent.requests[0] + _MINUTE - now))
        if self._tokens is not None and spent.tokens >= self._tokens:
            return max(1, ceil(spent.uses[0][0] + _MINUTE - now))
        spent.requests.append(now)
        return None

    def used(self, deployment: str, tokens: int) -> None:
        """Enters what a call has used."""
        if self._tokens is not None and tokens:
            spent, now = self._recent(deployment)
            spent.uses.append((now, tokens))
            spent.tokens += tokens

    def _recent(self, deployment: str) -> tuple[_Spent, float]:
        spent, now = self._spent[deployment], self._clock.monotonic()
        while spent.requests and spent.requests[0] + _MINUTE <= now:
            spent.requests.popleft()
        while spent.uses and spent.uses[0][0] + _MINUTE <= now:
            spent.tokens -= spent.uses.popleft()[1]
        return spent, now
