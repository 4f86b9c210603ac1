"""Admission: whether a call may go on, by all limits that it is under, and what is kept for it until its end.

    admit ─▶ reserve an upper estimate in each account, or in none ─▶ Reservation ─▶ settle, once: what was used

All of a call's limits are looked at before anything is taken, so a refused call costs nobody anything. What names a
session or a deployment comes from strangers: the accounts of one relay have an end, beyond which new names share one.
"""

from collections.abc import Sequence
from typing import Final

from ..errors import QuotaExceeded, RateLimited
from .accounts import Account, account_for
from .limit import CALLS, REQUESTS, TOKENS, Limit
from .periods import Calendar

__all__ = ["Hold", "Limiter", "Plan", "Reservation"]

_MOST_ACCOUNTS: Final = 20_000
_MOST_PLANS: Final = 4_096
_LONGEST_SESSION: Final = 128
_OTHERS: Final = "(others)"
_NO_GROUPS: Final[tuple[str, ...]] = ()
# Whoever waits for another call to end cannot know when that will be.
_BRIEFLY: Final = 1.0


class Allowance:
    """A limit as it is for some calls: what of it is given out, and how much there is."""

    def __init__(self, limit: Limit, key: str, account: Account) -> None:
        self.limit = limit
        self.key = key
        self.account = account
        self.amount = limit.amount


class Hold:
    """What one call has taken of one limit."""

    def __init__(self, allowance: Allowance, units: int, slot: int) -> None:
        self.allowance = allowance
        self.units = units
        self.slot = slot


class Reservation:
    """What a call has taken of all its limits. To be settled once, however the call ends."""

    def __init__(self, holds: list[Hold], output: int) -> None:
        self.holds = holds
        self.output = output
        """Tokens of its answer that are reserved."""
        self.is_open = True


class Plan:
    """The limits that a kind of call is under."""

    def __init__(self, allowances: list[Allowance], per_session: list[tuple[Limit, str]]) -> None:
        self.allowances = allowances
        self.per_session = per_session


class AdmissionCounts:
    """What a relay has done, whatever its configuration was."""

    def __init__(self) -> None:
        self.open = 0
        """Reservations that are not settled yet."""
        self.refused: dict[str, int] = {}
        """By the limit's name: calls that were turned away."""

    @property
    def total(self) -> int:
        """Calls that were turned away."""
        return sum(self.refused.values())


class Limiter:
    """One relay's. Nothing here waits."""

    def __init__(self, limits: Sequence[Limit], calendar: Calendar, most_accounts: int = _MOST_ACCOUNTS) -> None:
        self._limits = list(limits)
        self._calendar = calendar
        self._most = most_accounts
        self._plans: dict[tuple[str, tuple[str, ...], str, str], Plan] = {}
        self._allowances: dict[str, Allowance] = {}
        self._has_quotas = any(limit.is_quota for limit in limits)
        self.counts_tokens = any(limit.counts == TOKENS for limit in limits)
        self.counts_sessions = any("session" in limit.per for limit in limits)
        self.counts = AdmissionCounts()

    def __repr__(self) -> str:
        counts = len(self._limits), len(self._allowances), self.counts.open
        return "<Limiter {} limits, {} accounts, {} reservations>".format(*counts)

    def configure(self, limits: Sequence[Limit], calendar: Calendar) -> "Limiter":
        """One with other limits, in which what was used still counts. This one stays for the calls under way."""
        after = Limiter(limits, calendar, self._most)
        after._adopt(self)
        return after

    def _adopt(self, before: "Limiter") -> None:
        known = {f"{limit.name} {limit.setting}": limit for limit in self._limits}
        for key, allowance in before._allowances.items():
            limit = known.get(f"{allowance.limit.name} {allowance.limit.setting}")
            if limit is not None:
                self._allowances[key] = Allowance(limit, key, allowance.account)
        self.counts = before.counts

    def admit(
        self,
        caller: str,
        groups: tuple[str, ...],
        deployment: str,
        surface: str,
        session: str,
        tokens: int,
        output: int,
        now: float,
        moment: float,
    ) -> Reservation:
        """``tokens`` is what the call may use at most, of which ``output`` in its answer; ``now`` is on the monotonic
        clock, ``moment`` in seconds since 1970. Raises ``RateLimited`` or ``QuotaExceeded``; then nothing was taken."""
        key = (caller, groups, deployment, surface)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plan(caller, groups, deployment, surface)
        allowances = plan.allowances
        if plan.per_session:
            allowances = allowances + [
                self._allowance(limit, f"{start} session={session[:_LONGEST_SESSION]}", now, moment)
                for limit, start in plan.per_session
            ]
        holds: list[Hold] = []
        refusal: RateLimited | QuotaExceeded | None = None
        for allowance in allowances:
            limit, account = allowance.limit, allowance.account
            units = tokens if limit.counts == TOKENS else 1
            period = self._calendar.period(limit.window, moment).start if limit.is_quota else 0
            given = account.given(now, period)
            if given + units > allowance.amount:
                if limit.window == "minute" and units > allowance.amount and given == 0 and allowance.amount > 0:
                    pass  # more than there can ever be: it gets all of it, alone
                else:
                    refusal = _worse(refusal, self._refusal(allowance, units, given, now, moment))
            holds.append(Hold(allowance, units, period))
        if refusal is not None:
            raise refusal
        for hold in holds:
            hold.slot = hold.allowance.account.take(hold.units, now, hold.slot)
        self.counts.open += 1
        return Reservation(holds, output)

    def settle(self, reservation: Reservation, tokens: int | None, now: float, *, has_run: bool) -> None:
        """The call has ended. ``tokens`` are what it has used, ``None`` if that is not known and what was reserved
        stands for it. Not ``has_run``: no upstream has seen it, so it counts for nothing."""
        if not reservation.is_open:
            return
        reservation.is_open = False
        self.counts.open -= 1
        for hold in reservation.holds:
            counts = hold.allowance.limit.counts
            used = hold.units
            if counts == CALLS or not has_run:
                used = 0
            elif counts == TOKENS and tokens is not None:
                used = tokens
            if used != hold.units:
                hold.allowance.account.change(used - hold.units, hold.slot, now)

    def add(self, reservation: Reservation, tokens: int, now: float) -> None:
        """The call goes on and has used these, for which nothing was reserved."""
        for hold in reservation.holds:
            if hold.allowance.limit.counts == TOKENS:
                hold.allowance.account.change(tokens, hold.slot, now)
                hold.units += tokens

    def may_go_on(self, reservation: Reservation, written: int, now: float) -> bool:
        """Of a call whose answer has so many tokens until now: reserves what is missing. False where a limit that ends
        such calls has nothing left."""
        more = written - reservation.output
        if more <= 0:
            return True
        for hold in reservation.holds:
            allowance = hold.allowance
            limit = allowance.limit
            if limit.ends_overrun and limit.counts == TOKENS:
                if allowance.account.given(now, hold.slot) + more > allowance.amount:
                    return False
        self.add(reservation, more, now)
        reservation.output = written
        return True

    def lines(self, reservation: Reservation, now: float) -> bytes:
        """Header lines, each behind a CR LF: what is left of the rates that the call is under."""
        lines = b""
        for counted, name in ((REQUESTS, b"requests"), (TOKENS, b"tokens")):
            tightest: Allowance | None = None
            least = 0
            for hold in reservation.holds:
                allowance = hold.allowance
                if allowance.limit.window == "minute" and allowance.limit.counts == counted:
                    left = allowance.amount - allowance.account.given(now, 0)
                    if tightest is None or left < least:
                        tightest, least = allowance, left
            if tightest is not None:
                lines += _lines(name, tightest.amount, least, tightest.account.reset(now))
        return lines

    # --- the accounts ---

    def _plan(self, caller: str, groups: tuple[str, ...], deployment: str, surface: str) -> Plan:
        allowances: list[Allowance] = []
        per_session: list[tuple[Limit, str]] = []
        for limit in self._limits:
            if not limit.is_for(caller, groups, deployment, surface):
                continue
            for key in limit.keys(caller, groups, deployment, surface):
                if "session" in limit.per:
                    per_session.append((limit, key))
                else:
                    allowances.append(self._allowance(limit, key, 0.0, 0.0))
        plan = Plan(allowances, per_session)
        if len(self._plans) >= _MOST_PLANS:  # names come from callers, so there is no end to them
            self._plans.clear()
        self._plans[(caller, groups, deployment, surface)] = plan
        return plan

    def _allowance(self, limit: Limit, key: str, now: float, moment: float) -> Allowance:
        found = self._allowances.get(key)
        if found is not None:
            return found
        if len(self._allowances) >= self._most:
            self._forget_idle(now, moment)
        if len(self._allowances) >= self._most and key != (key := _shared(limit)):
            found = self._allowances.get(key)
            if found is not None:
                return found
        found = self._allowances[key] = Allowance(limit, key, account_for(limit.window))
        return found

    def _forget_idle(self, now: float, moment: float) -> None:
        """Accounts of which nothing is given out say what new ones would. Plans hold some of them."""
        self._plans.clear()
        kept: dict[str, Allowance] = {}
        for key, allowance in self._allowances.items():
            limit = allowance.limit
            period = self._calendar.period(limit.window, moment).start if limit.is_quota else 0
            if not allowance.account.is_idle(now, period):
                kept[key] = allowance
        self._allowances = kept

    def _refusal(
        self, allowance: Allowance, units: int, given: int, now: float, moment: float
    ) -> RateLimited | QuotaExceeded:
        limit, amount = allowance.limit, allowance.amount
        refused = self.counts.refused
        refused[limit.name] = refused.get(limit.name, 0) + 1
        left = max(0, amount - given)
        wanted = "" if limit.counts != TOKENS else f" This call may use {units} tokens."
        what = f"{limit.setting.replace('_', ' ')} ({limit.name})"
        if limit.is_quota:
            until = self._calendar.period(limit.window, moment).end
            quota = QuotaExceeded(
                f"The quota of {amount} {what} has {left} left.{wanted} It begins anew in {_span(until - moment)}; "
                f"{_hint(limit)}"
            )
            quota.retry_after_seconds = until - moment
            return quota
        rate = RateLimited(f"The limit of {amount} {what} is reached; {left} are left.{wanted} {_hint(limit)}")
        wait = allowance.account.wait(min(units, amount), amount, now) if limit.window else _BRIEFLY
        rate.retry_after_seconds = wait if amount > 0 else 0.0
        if limit.window:
            rate.lines = _lines(
                b"tokens" if limit.counts == TOKENS else b"requests", amount, left, allowance.account.reset(now)
            )
        return rate


def _worse(one: RateLimited | QuotaExceeded | None, other: RateLimited | QuotaExceeded) -> RateLimited | QuotaExceeded:
    """The one that lasts longer: it says what is true of both."""
    return one if one is not None and one.retry_after_seconds >= other.retry_after_seconds else other


def _shared(limit: Limit) -> str:
    return f"{limit.name} {limit.setting} {_OTHERS}"


def _hint(limit: Limit) -> str:
    if limit.counts == TOKENS:
        return "a smaller `max_tokens` or a shorter prompt asks for less."
    return "whoever runs this gateway can change it." if limit.is_quota else "Send fewer calls at a time."


def _span(seconds: float) -> str:
    whole = int(seconds) + 1
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h"


def _lines(what: bytes, amount: int, left: int, reset: float) -> bytes:
    """OpenAI's three, as it writes them."""
    milliseconds = int(reset * 1000)
    if milliseconds >= 60_000:
        shown = b"%dm%ds" % (milliseconds // 60_000, milliseconds % 60_000 // 1000)
    elif milliseconds >= 1000:
        shown = b"%ds" % (-(-milliseconds // 1000))
    else:
        shown = b"%dms" % milliseconds
    return b"\r\nx-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b" % (
        what,
        amount,
        what,
        max(0, left),
        what,
        shown,
    )
