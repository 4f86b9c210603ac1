"""The holder of the truth about shared limits: relays ask it for slices, and give back what they do not need. Pure.

    relay ── Ask(key, …, least, wish), Return(key, …, units), Held(key, units) ──▶ holder
    relay ◀── Grant(units, slot, given, wait, reset), one for each ask ──────────── holder

Whoever asks names the limit's amount, so a changed configuration needs no change here. A grant is at least ``least`` or
nothing; beyond that, it is what is wished for, but never more than an eighth of what is left: slices shrink as the end
comes near. ``redis_holder`` has the same rules as one script.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from .accounts import Account, QuotaAccount, RateAccount
from .slices import RATE_TERM

__all__ = ["HELD_TERM", "Ask", "Granted", "Held", "Holder", "HolderStore", "Return"]

HELD_TERM: Final = 10.0
"""Seconds after which a relay that says nothing any more holds no calls under way."""
SHARE: Final = 8
"""Beyond what a call needs, a slice is at most one of so many parts of what is left."""


class Ask(NamedTuple):
    """For a slice. ``window`` is its limit's; ``period`` is a quota's, else 0."""

    key: str
    window: str
    period: int
    amount: int
    least: int
    wish: int
    known: int
    """What was out in all when this relay last heard of it: where the truth was lost, it is no less than that."""


class Return(NamedTuple):
    """Of a slice that was handed over for ``slot``. Negative units were used and had not been taken."""

    key: str
    window: str
    slot: int
    units: int


class Held(NamedTuple):
    """Calls under way for which this relay has units, in use or free."""

    key: str
    units: int


class Granted(NamedTuple):
    """The answer to an ask."""

    units: int
    slot: int
    given: int
    wait: float
    reset: float


class HolderStore(Protocol):
    """Where the truth survives a restart."""

    def save(self, quotas: dict[tuple[str, int], int], rates: dict[str, list[tuple[int, int]]]) -> None:
        """Before anybody is told: what is out of quotas by key and period, and of rates by slots."""
        ...


class Holder:
    """One for all relays of a machine."""

    def __init__(self, store: HolderStore | None = None) -> None:
        self._store = store
        self.rates: dict[str, RateAccount] = {}
        self.quotas: dict[str, QuotaAccount] = {}
        self.held: dict[str, dict[str, tuple[int, float]]] = {}
        """By key and relay: units, and until when they are believed in."""

    def __repr__(self) -> str:
        return f"<Holder of {len(self.rates)} rates, {len(self.quotas)} quotas, {len(self.held)} of calls under way>"

    def handle(
        self, relay: str, asks: Sequence[Ask], returns: Sequence[Return], held: Sequence[Held], now: float
    ) -> list[Granted]:
        """One message of a relay, all of it at once. ``now`` is on this process's monotonic clock."""
        quotas: dict[tuple[str, int], int] = {}
        rates: dict[str, list[tuple[int, int]]] = {}
        for units in held:
            self._hold(units.key, relay, units.units, now)
        for back in returns:
            account = self._account(back.key, back.window)
            if account is None:
                self._hold(back.key, relay, self._held_by(back.key, relay, now) - back.units, now)
                continue
            account.change(-back.units, back.slot, now)
            self._note(back.key, account, back.slot, quotas, rates)
        granted: list[Granted] = []
        for ask in asks:
            self._recall(ask, now)
            account = self._account(ask.key, ask.window)
            if account is None:
                granted.append(self._grant_calls(ask, relay, now))
                continue
            granted.append(_grant(ask, account, now))
            self._note(ask.key, account, ask.period, quotas, rates)
        if self._store is not None and (quotas or rates):
            self._store.save(quotas, rates)
        return granted

    def _recall(self, ask: Ask, now: float) -> None:
        """Where nothing is known of an account, the truth is what its relays know at least."""
        if ask.known <= 0 or not ask.window:
            return
        if ask.window == "minute":
            if ask.key not in self.rates:
                self.rates[ask.key] = RateAccount([(int(now), ask.known)])
        elif ask.key not in self.quotas:
            self.quotas[ask.key] = QuotaAccount({ask.period: ask.known})

    def _account(self, key: str, window: str) -> Account | None:
        """``None`` where calls under way are counted."""
        if window == "minute":
            rate = self.rates.get(key)
            if rate is None:
                rate = self.rates[key] = RateAccount()
            return rate
        if not window:
            return None
        quota = self.quotas.get(key)
        if quota is None:
            quota = self.quotas[key] = QuotaAccount()
        return quota

    def _note(
        self,
        key: str,
        account: Account,
        period: int,
        quotas: dict[tuple[str, int], int],
        rates: dict[str, list[tuple[int, int]]],
    ) -> None:
        if isinstance(account, RateAccount):
            rates[key] = account.slots()
        else:
            quotas[key, period] = account.given(0.0, period)

    # --- calls under way ---

    def _grant_calls(self, ask: Ask, relay: str, now: float) -> Granted:
        given = self.calls(ask.key, now)
        units = _share(ask, ask.amount - given)
        if units:
            self._hold(ask.key, relay, self._held_by(ask.key, relay, now) + units, now)
        return Granted(units, 0, given + units, 0.0, 0.0)

    def calls(self, key: str, now: float) -> int:
        """Units of calls under way that are believed to be out."""
        relays = self.held.get(key, {})
        return sum(units for units, until in relays.values() if now < until)

    def _held_by(self, key: str, relay: str, now: float) -> int:
        units, until = self.held.get(key, {}).get(relay, (0, 0.0))
        return units if now < until else 0

    def _hold(self, key: str, relay: str, units: int, now: float) -> None:
        relays = self.held.setdefault(key, {})
        if units > 0:
            relays[relay] = (units, now + HELD_TERM)
        else:
            relays.pop(relay, None)
        if not relays:
            del self.held[key]


def _grant(ask: Ask, account: Account, now: float) -> Granted:
    is_rate = ask.window == "minute"
    given = account.given(now, ask.period)
    units, slot = _share(ask, ask.amount - given), ask.period
    if units:
        slot = account.take(units, now + RATE_TERM if is_rate else now, ask.period)
    wait = account.wait(ask.least, ask.amount, now) if units < ask.least else 0.0
    return Granted(units, slot, given + units, wait, account.reset(now))


def _share(ask: Ask, left: int) -> int:
    """All of ``least`` or nothing, and of what is wished for beyond it, no more than a share."""
    if left < ask.least or left <= 0:
        return 0
    return ask.least + max(0, min(ask.wish - ask.least, (left - ask.least) // SHARE))
