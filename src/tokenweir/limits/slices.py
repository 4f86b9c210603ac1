"""What a relay holds of a limit that it shares with others, and what it tells the holder of the truth.

A slice is taken out of the truth when it is handed over, so whatever becomes of its relay, nothing of it is given out
twice. Of a rate it is good for a second, and counts in the window as if all of it were used at the end of that second:
60 seconds never see more than the limit. Of a quota it is good for its period. Of calls under way it is good as long as
the relay says every few seconds what it holds.

What a relay does not need goes back; what it used beyond a reservation is reported in the same way, as less than
nothing.
"""

from typing import Final

from .accounts import Account, account_for

__all__ = ["OUTAGE", "RATE_TERM", "Grant", "Slice"]

OUTAGE: Final = -1
"""The slot of what was taken while the holder was away."""

RATE_TERM: Final = 1.0
"""Seconds that a slice of a rate is good for."""
# A refusal is true until somebody gives something back, which nobody can know. So long is it repeated without asking.
_REFUSED_SECONDS: Final = 0.05
# What half a second needed is asked for beforehand.
_AHEAD_SECONDS: Final = 0.5
_LEAST_SECONDS: Final = 0.02


class Grant:
    """What the holder says to an ask. Not to be changed."""

    def __init__(self, units: int, slot: int, given: int, wait: float, reset: float) -> None:
        """``given`` is what is out in all, these included; ``wait`` and ``reset`` are in seconds, as accounts tell
        them."""
        self.units = units
        self.slot = slot
        self.given = given
        self.wait_seconds = wait
        self.reset_seconds = reset


class Slice(Account):
    """An account whose truth is elsewhere: it gives out what it holds."""

    def __init__(self, window: str) -> None:
        self.is_rate = window == "minute"
        self.is_held = not window
        self.free = 0
        self.slot = 0
        self.known = 0
        """What was out in all when the holder last said so, this slice included."""
        self.returns: dict[int, int] = {}
        """By slot: units that go back."""
        self.wanted = 0
        """Units taken since it last was asked for, or given back."""
        self._wanted_since = 0.0
        self.in_use = 0
        """Of calls under way: those of this relay."""
        self.was_held = False
        """Whether the holder was last told of some."""
        self._expires = 0.0
        self._refused_until = 0.0
        self._refused_units = 0
        self._wait = 0.0
        self._reset = 0.0
        self._local: Account | None = None
        """What was given out without the holder."""
        self._local_of = 0
        self._local_amount = 0
        self.known_at = 0.0
        self.used_at = 0.0

    def roll(self, now: float, period: int) -> None:
        """What is held of an earlier time goes back."""
        if self.is_held:
            return
        if self.is_rate:
            if now >= self._expires:
                self._return_free()
        elif period != self.slot:
            self._return_free()
            self.slot, self.known, self._refused_until = period, 0, 0.0

    def fits(self, units: int, amount: int, now: float, period: int) -> bool:
        self.roll(now, period)
        return self.free >= units

    def is_refused(self, units: int, now: float) -> bool:
        """Whether the holder has just said that there is not so much."""
        return now < self._refused_until and units >= self._refused_units

    def given(self, now: float, period: int) -> int:
        self.roll(now, period)
        return self.known - self.free

    def take(self, units: int, now: float, period: int) -> int:
        self.free -= units
        self.wanted += units
        self.used_at = now
        if self.is_held:
            self.in_use += units
        return self.slot

    def change(self, units: int, slot: int, now: float) -> None:
        if self.is_held:
            self.in_use += units
            if slot != OUTAGE:
                self.free -= units
        elif slot != self.slot or (self.is_rate and now >= self._expires) or self.free < units:
            self.returns[slot] = self.returns.get(slot, 0) - units
        else:
            self.free -= units

    def wish(self, least: int, now: float) -> int:
        """How much to ask for: what the next moment needs, if it is like the last."""
        passed = max(now - self._wanted_since, _LEAST_SECONDS)
        ahead = int(self.wanted * _AHEAD_SECONDS / passed)
        self.wanted, self._wanted_since = 0, now
        return least + ahead

    def accept(self, grant: Grant, least: int, asked_at: float, now: float, period: int) -> bool:
        """Whether ``least`` were granted; they are the asker's. What was granted beyond them is held."""
        self.roll(now, period)
        self._local = None
        self._wait, self._reset = grant.wait_seconds, grant.reset_seconds
        if not self.is_rate and not self.is_held and grant.slot != self.slot:
            self.returns[grant.slot] = self.returns.get(grant.slot, 0) + grant.units  # the period has ended meanwhile
            return False
        self.known, self.known_at = grant.given, now
        self.was_held = self.was_held or grant.units > 0
        if grant.units < least or (self.is_rate and now >= asked_at + RATE_TERM):
            if grant.units:
                self.returns[grant.slot] = self.returns.get(grant.slot, 0) + grant.units
            self._refused_until, self._refused_units = now + _REFUSED_SECONDS, least
            return False
        if self.is_rate and grant.units > least:
            if grant.slot != self.slot:
                self._return_free()
                self.slot = grant.slot
            self._expires = asked_at + RATE_TERM
        self.free += grant.units - least
        self.wanted += least
        if self.is_held:
            self.in_use += least
        return True

    def take_in_outage(self, units: int, amount: int, share: int, now: float, period: int) -> bool:
        """Without the holder: whether a ``share``-th part of what is left, as far as that is known, has room. What is
        taken is reported when the holder is back."""
        self.roll(now, period)
        if self.is_held:
            if self.in_use + units > amount // share:
                return False
            self.in_use += units
            return True
        if self._local is None or (not self.is_rate and self._local_of != period):
            self._local, self._local_of = account_for("minute" if self.is_rate else "hour"), period
            self._local_amount = (amount if self.is_rate else max(0, amount - self.known)) // share
        if not self._local.fits(units, self._local_amount, now, period):
            return False
        self._local.take(units, now, period)
        slot = self.outage_slot(period)
        self.returns[slot] = self.returns.get(slot, 0) - units
        return True

    def outage_slot(self, period: int) -> int:
        """Where what was taken in an outage counts."""
        return period if not self.is_rate and not self.is_held else OUTAGE

    def wait(self, units: int, amount: int, now: float) -> float:
        return self._wait

    def reset(self, now: float) -> float:
        return self._reset

    def is_idle(self, now: float, period: int) -> bool:
        self.roll(now, period)
        return not (self.free or (self.is_held and self.in_use) or self.returns or self.known)

    def give_back(self, now: float, *, always: bool) -> None:
        """What nobody has asked for since the last time is of more use to others."""
        if always or not self.wanted:
            self._return_free()
        self.wanted, self._wanted_since = 0, now

    def _return_free(self) -> None:
        if self.is_held:
            self.free = 0
        elif self.free > 0:
            self.returns[self.slot] = self.returns.get(self.slot, 0) + self.free
            self.free = 0
