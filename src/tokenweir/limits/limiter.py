"""Admission: whether a call may go on, by all limits that it is under, and what is kept for it until its end.

    admit ─▶ reserve an upper estimate in each account, or in none ─▶ Reservation ─▶ settle, once: what was used
      │                                                                   ▲
      └─▶ a slice is too small: ask the holder, once ─▶ answered ─────────┘

All of a call's limits are looked at before anything is taken, so a refused call costs nobody anything. What names a
session or a deployment comes from strangers: the accounts of one relay have an end, beyond which new names share one.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from ..errors import LimitsUnavailable, QuotaExceeded, RateLimited
from .accounts import Account, account_for
from .holder import Ask, Held, Return
from .limit import CALLS, COST, REQUESTS, TOKENS, Limit
from .periods import Calendar
from .slices import Grant, Slice

__all__ = ["Hold", "Limiter", "Plan", "Reservation"]

_MOST_ACCOUNTS: Final = 20_000
_MOST_PLANS: Final = 4_096
_LONGEST_SESSION: Final = 128
_OTHERS: Final = "(others)"
_NO_GROUPS: Final[tuple[str, ...]] = ()
# Whoever waits for another call to end cannot know when that will be.
_BRIEFLY: Final = 1.0
# What was heard of a rate is worth nothing when its window has passed.
_KNOWN_SECONDS: Final = 60.0
_REFRESHED_SECONDS: Final = 2.0


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

    def __init__(
        self, holds: list[Hold], missing: list[Hold], output: int, asked_at: float, output_price: int = 0
    ) -> None:
        self.holds = holds
        self.missing = missing
        """What this relay's slices do not have, and the holder is to be asked for before the call goes on."""
        self.output = output
        """Tokens of its answer that are reserved."""
        self.output_price = output_price
        self.asked_at = asked_at
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

    def __init__(
        self, limits: Sequence[Limit], calendar: Calendar, most_accounts: int = _MOST_ACCOUNTS, *, shares: bool = False
    ) -> None:
        """``shares``: others give out of the same limits, and a holder has the truth."""
        self._shares = shares
        self._limits = list(limits)
        self._calendar = calendar
        self._most = most_accounts
        self._plans: dict[tuple[str, tuple[str, ...], str, str], Plan] = {}
        self._allowances: dict[str, Allowance] = {}
        self._has_quotas = any(limit.is_quota for limit in limits)
        self.counts_tokens = any(limit.counts == TOKENS for limit in limits)
        self.counts_cost = any(limit.counts == COST for limit in limits)
        self.counts_sessions = any("session" in limit.per for limit in limits)
        self._overridden: dict[str, int] = {}
        self.counts = AdmissionCounts()

    def __repr__(self) -> str:
        counts = len(self._limits), len(self._allowances), self.counts.open
        return "<Limiter {} limits, {} accounts, {} reservations>".format(*counts)

    @property
    def limits(self) -> Sequence[Limit]:
        return self._limits

    def configure(self, limits: Sequence[Limit], calendar: Calendar) -> "Limiter":
        """One with other limits, in which what was used still counts. This one stays for the calls under way."""
        after = Limiter(limits, calendar, self._most, shares=self._shares)
        after._adopt(self)
        return after

    def override(self, amounts: Mapping[str, int]) -> None:
        """Other amounts than the configured ones, by a limit's name and setting, in the place of those before."""
        if amounts == self._overridden:
            return
        self._overridden = dict(amounts)
        for allowance in self._allowances.values():
            allowance.amount = self._amount(allowance.limit)

    def _amount(self, limit: Limit) -> int:
        return self._overridden.get(f"{limit.name} {limit.setting}", limit.amount) if self._overridden else limit.amount

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
        cost: int = 0,
        output_price: int = 0,
    ) -> Reservation:
        """``tokens`` is what the call may use at most, of which ``output`` in its answer, ``cost`` what that costs,
        in units of ``NANO``, and ``output_price`` what a token of the answer does, in thousandths of these. ``now`` is
        on the monotonic clock, ``moment`` in seconds since 1970. Raises ``RateLimited`` or ``QuotaExceeded``; then
        nothing was taken."""
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
        missing: list[Hold] = []
        refusal: RateLimited | QuotaExceeded | None = None
        for allowance in allowances:
            limit, account, amount = allowance.limit, allowance.account, allowance.amount
            units = 1
            if limit.counts == TOKENS:
                units = tokens
            elif limit.counts == COST:
                units = cost
            period = 0
            if limit.is_quota:
                period = self._calendar.period(limit.window, moment).start
            elif limit.window and units > amount > 0:
                units = amount  # more than there can ever be: it gets all of it, alone
            if account.fits(units, amount, now, period):
                holds.append(Hold(allowance, units, period))
            elif isinstance(account, Slice) and units <= amount and not account.is_refused(units, now):
                missing.append(Hold(allowance, units, period))
            else:
                refusal = _worse(refusal, self._refusal(allowance, units, period, now, moment))
        if refusal is not None:
            raise refusal
        for hold in holds:
            hold.slot = hold.allowance.account.take(hold.units, now, hold.slot)
        self.counts.open += 1
        return Reservation(holds, missing, output, now, output_price)

    # --- where limits are shared ---

    def question(self, reservation: Reservation, now: float) -> tuple[list[Ask], list[Return]]:
        """What to ask the holder for."""
        asks: list[Ask] = []
        returns: list[Return] = []
        for hold in reservation.missing:
            allowance = hold.allowance
            account, window = allowance.account, allowance.limit.window
            if isinstance(account, Slice):
                wish = account.wish(hold.units, now)
                known = account.known if now - account.known_at < _KNOWN_SECONDS else 0
                asks.append(Ask(allowance.key, window, hold.slot, allowance.amount, hold.units, wish, known))
                returns += _returns(allowance.key, window, account)
        return asks, returns

    def answered(self, reservation: Reservation, grants: Sequence[Grant], now: float, moment: float) -> None:
        """The holder has answered: the reservation is whole. Raises as ``admit`` does, and then nothing is taken. To be
        called also if the call has ended meanwhile."""
        refusal: RateLimited | QuotaExceeded | None = None
        missing, reservation.missing = reservation.missing, []
        for hold, grant in zip(missing, grants, strict=True):
            allowance, account = hold.allowance, hold.allowance.account
            if not isinstance(account, Slice):
                continue
            least = hold.units if reservation.is_open else 0
            period = hold.slot
            if account.accept(grant, least, reservation.asked_at, now, period):
                if reservation.is_open:
                    reservation.holds.append(Hold(allowance, hold.units, grant.slot))
            else:
                refusal = _worse(refusal, self._refusal(allowance, hold.units, period, now, moment))
        if refusal is not None and reservation.is_open:
            self.settle(reservation, 0, now, has_run=False)
            raise refusal

    def unanswered(self, reservation: Reservation, now: float, share: int) -> None:
        """The holder cannot be asked. With a ``share`` of 1 or more, that part of what is left is given out without it;
        with 0, nothing is. Raises ``LimitsUnavailable``, and then nothing is taken."""
        missing, reservation.missing = reservation.missing, []
        if not reservation.is_open:
            return
        for hold in missing:
            account, period = hold.allowance.account, hold.slot
            amount = hold.allowance.amount
            if isinstance(account, Slice) and share and account.take_in_outage(hold.units, amount, share, now, period):
                reservation.holds.append(Hold(hold.allowance, hold.units, account.outage_slot(period)))
                continue
            self.settle(reservation, 0, now, has_run=False)
            raise LimitsUnavailable(
                "What is left of a limit cannot be asked for at present, so this call is not let in. Send it again."
            )

    def refresh(self, now: float, moment: float) -> list[Ask]:
        """For no more units, but to hear what is out of the limits that were used lately."""
        return self.recollections(now, moment, used_since=now - _REFRESHED_SECONDS)

    def refreshed(self, asks: Sequence[Ask], grants: Sequence[Grant], now: float) -> None:
        for ask, grant in zip(asks, grants, strict=True):
            allowance = self._allowances.get(ask.key)
            if allowance is not None and isinstance(allowance.account, Slice):
                allowance.account.accept(grant, 0, now, now, ask.period)

    def recollections(self, now: float, moment: float, used_since: float = 0.0) -> list[Ask]:
        """For a holder that has lost the truth: what this relay knows of it. Nothing is asked for."""
        known: list[Ask] = []
        for allowance in self._allowances.values():
            account, limit = allowance.account, allowance.limit
            if not isinstance(account, Slice) or not account.known or not limit.window:
                continue
            if account.used_at < used_since:
                continue
            period = self._calendar.period(limit.window, moment).start if limit.is_quota else 0
            is_old = period != account.slot if limit.is_quota else now - account.known_at > _KNOWN_SECONDS
            if not is_old:
                known.append(Ask(allowance.key, limit.window, period, allowance.amount, 0, 0, account.known))
        return known

    def not_told(self, returns: Sequence[Return]) -> None:
        """The holder may not have heard of these. What was used beyond a reservation is told once more, which may be
        too much; what went back is not, which may be too little."""
        for back in returns:
            allowance = self._allowances.get(back.key)
            if back.units < 0 and allowance is not None and isinstance(allowance.account, Slice):
                told = allowance.account.returns
                told[back.slot] = told.get(back.slot, 0) + back.units

    def tidings(self, now: float, moment: float, *, is_last: bool = False) -> tuple[list[Return], list[Held]]:
        """What to tell the holder now and then: what goes back, and which calls are under way. If it ``is_last``, all
        that is not in use goes back."""
        returns: list[Return] = []
        held: list[Held] = []
        for allowance in self._allowances.values():
            account, limit = allowance.account, allowance.limit
            if not isinstance(account, Slice):
                continue
            if limit.is_quota:
                account.roll(now, self._calendar.period(limit.window, moment).start)
            else:
                account.roll(now, 0)
            account.give_back(now, always=is_last)
            if account.is_held:
                account.returns.clear()  # what is held says it all
                if account.in_use or account.free or account.was_held:
                    held.append(Held(allowance.key, account.in_use + account.free))
                account.was_held = account.in_use + account.free > 0
            else:
                returns += _returns(allowance.key, limit.window, account)
        return returns, held

    # --- until the end ---

    def settle(
        self, reservation: Reservation, tokens: int | None, now: float, *, has_run: bool, cost: int | None = None
    ) -> None:
        """The call has ended. ``tokens`` and ``cost`` are what it has used, ``None`` if that is not known and what was
        reserved stands for it. Not ``has_run``: no upstream has seen it, so it counts for nothing."""
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
            elif counts == COST and cost is not None:
                used = cost
            if used != hold.units:
                hold.allowance.account.change(used - hold.units, hold.slot, now)

    def add(self, reservation: Reservation, tokens: int, cost: int, now: float) -> None:
        """The call goes on and has used these, for which nothing was reserved."""
        for hold in reservation.holds:
            counts = hold.allowance.limit.counts
            if counts in (TOKENS, COST):
                more = tokens if counts == TOKENS else cost
                hold.allowance.account.change(more, hold.slot, now)
                hold.units += more

    def may_go_on(self, reservation: Reservation, written: int, now: float) -> bool:
        """Of a call whose answer has so many tokens until now: reserves what is missing. False where a limit that ends
        such calls has nothing left."""
        more = written - reservation.output
        if more <= 0:
            return True
        cost = -(-more * reservation.output_price // 1000)
        for hold in reservation.holds:
            allowance = hold.allowance
            limit = allowance.limit
            if limit.ends_overrun and limit.counts in (TOKENS, COST):
                beyond = more if limit.counts == TOKENS else cost
                if allowance.account.given(now, hold.slot) + beyond > allowance.amount:
                    return False
        self.add(reservation, more, cost, now)
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
        if len(self._allowances) >= self._most:
            key = _shared(limit)
            found = self._allowances.get(key)
            if found is not None:
                return found
        found = self._allowances[key] = Allowance(limit, key, self._account(limit))
        found.amount = self._amount(limit)
        return found

    def _account(self, limit: Limit) -> Account:
        return Slice(limit.window) if self._shares else account_for(limit.window)

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
        self, allowance: Allowance, units: int, period: int, now: float, moment: float
    ) -> RateLimited | QuotaExceeded:
        limit, amount = allowance.limit, allowance.amount
        given = allowance.account.given(now, period)
        refused = self.counts.refused
        refused[limit.name] = refused.get(limit.name, 0) + 1
        left = max(0, amount - given)
        wanted = ""
        if limit.counts == TOKENS:
            wanted = f" This call may use {units} tokens."
        elif limit.counts == COST:
            wanted = f" This call may cost {limit.shown(units)}."
        what = f"{limit.setting.replace('_', ' ')} ({limit.name})"
        if limit.is_quota:
            until = self._calendar.period(limit.window, moment).end
            room = f"{limit.shown(amount)} {what} has {limit.shown(left)} left"
            anew = _span(until - moment)
            quota = QuotaExceeded(f"The quota of {room}.{wanted} It begins anew in {anew}; {_hint(limit)}")
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


def _returns(key: str, window: str, account: Slice) -> list[Return]:
    """What goes back, which is then no longer the slice's."""
    if not account.returns:
        return []
    returns, account.returns = account.returns, {}
    return [Return(key, window, slot, units) for slot, units in returns.items() if units]


def _shared(limit: Limit) -> str:
    return f"{limit.name} {limit.setting} {_OTHERS}"


def _hint(limit: Limit) -> str:
    if limit.counts in (TOKENS, COST):
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
