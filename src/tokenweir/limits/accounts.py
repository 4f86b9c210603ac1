"""What has been given out of one limit: the truth, wherever it is kept. Pure: whoever asks says what time it is.

A rate is a window that slides over slots of a second: what was given out in the last 60 whole seconds and in the one
under way. So no 60 seconds ever see more than the limit, all of it may be used at once, and how long to wait is known
exactly. (A bucket that fills up again lets nearly twice the limit through in its first minute; a minute of the calendar
does so at each of its ends.) An account holds 62 numbers at most.

A quota is one number for each period; a limit of calls under way is one number.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from ..compiled import mypyc_attr

__all__ = ["Account", "HeldAccount", "QuotaAccount", "RateAccount", "account_for"]

_WINDOW: Final = 60
# Of a quota: the one that is open, and those before it that a call may still be settled in.
_MOST_PERIODS: Final = 3


@mypyc_attr(allow_interpreted_subclasses=False)
class Account:
    """``now`` is on the monotonic clock, in seconds; ``period`` is the first second of a quota's, since 1970."""

    def given(self, now: float, period: int) -> int:
        """Units that are out at present."""
        raise NotImplementedError

    def fits(self, units: int, amount: int, now: float, period: int) -> bool:
        """Whether so many can be taken, if there are ``amount`` in all."""
        return self.given(now, period) + units <= amount

    def take(self, units: int, now: float, period: int) -> int:
        """Gives out, whatever is left. Returns the slot that `change` wants to be told."""
        raise NotImplementedError

    def change(self, units: int, slot: int, now: float) -> None:
        """So many more were used than had been taken; negative: fewer, or none at all."""
        raise NotImplementedError

    def wait(self, units: int, amount: int, now: float) -> float:
        """Seconds until ``units`` can be taken, if nobody else takes any; 0.0 where time alone will not do."""
        return 0.0

    def reset(self, now: float) -> float:
        """Seconds until all is as if nothing had been taken, if nobody takes any."""
        return 0.0

    def is_idle(self, now: float, period: int) -> bool:
        """Whether a new account would say the same."""
        return self.given(now, period) == 0


class RateAccount(Account):
    def __init__(self, slots: Sequence[tuple[int, int]] = ()) -> None:
        """``slots``: as another one has told them."""
        self._slots: list[int] = [slot for slot, _ in slots]
        self._units: list[int] = [units for _, units in slots]
        self._total = sum(self._units)

    def given(self, now: float, period: int) -> int:
        slots = self._slots
        if slots and slots[0] < int(now) - _WINDOW:
            self._age(int(now) - _WINDOW)
        return self._total

    def slots(self) -> list[tuple[int, int]]:
        """What is out, by the second in which it was taken."""
        return list(zip(self._slots, self._units, strict=True))

    def _age(self, oldest: int) -> None:
        gone = 0
        for slot in self._slots:
            if slot >= oldest:
                break
            self._total -= self._units[gone]
            gone += 1
        del self._slots[:gone]
        del self._units[:gone]

    def take(self, units: int, now: float, period: int) -> int:
        slots, slot = self._slots, int(now)
        count = len(slots)
        if count and slots[count - 1] == slot:
            self._units[count - 1] += units
        else:
            slots.append(slot)
            self._units.append(units)
        self._total += units
        return slot

    def change(self, units: int, slot: int, now: float) -> None:
        self.given(now, 0)
        index = len(self._slots) - 1
        while index >= 0:
            if self._slots[index] == slot:
                self._units[index] += units
                self._total += units
                return
            index -= 1
        if units > 0:  # its slot is out of the window, but what was used was used until now
            self.take(units, now, 0)

    def wait(self, units: int, amount: int, now: float) -> float:
        excess = self.given(now, 0) + units - amount
        for index in range(len(self._slots)):
            if excess <= 0:
                break
            excess -= self._units[index]
            if excess <= 0:
                return self._slots[index] + _WINDOW + 1 - now
        return 0.0

    def reset(self, now: float) -> float:
        self.given(now, 0)
        count = len(self._slots)
        return self._slots[count - 1] + _WINDOW + 1 - now if count else 0.0


class QuotaAccount(Account):
    def __init__(self, given: Mapping[int, int] | None = None) -> None:
        """``given``: by period, as another one has told it."""
        self._given: dict[int, int] = dict(given or {})

    def given(self, now: float, period: int) -> int:
        return self._given.get(period, 0)

    def take(self, units: int, now: float, period: int) -> int:
        given = self._given
        if period in given:
            given[period] += units
        else:
            if len(given) == _MOST_PERIODS:
                del given[min(given)]
            given[period] = units
        return period

    def change(self, units: int, slot: int, now: float) -> None:
        if slot in self._given:
            self._given[slot] += units
        elif units > 0:
            self.take(units, now, slot)


class HeldAccount(Account):
    def __init__(self) -> None:
        self._held = 0

    def given(self, now: float, period: int) -> int:
        return self._held

    def take(self, units: int, now: float, period: int) -> int:
        self._held += units
        return 0

    def change(self, units: int, slot: int, now: float) -> None:
        self._held += units


def account_for(window: str) -> Account:
    """One for a limit with this ``window``."""
    if window == "minute":
        return RateAccount()
    return QuotaAccount() if window else HeldAccount()
