"""The targets of one deployment, and which of them a call is to try next. Pure decisions.

1. A target that is drained gets no call; one whose breaker is open gets none until its time is over.
2. Of those left, the ones of the lowest priority.
3. Among these: with affinity, the one that the call's key belongs to; else by turns, in proportion to their weights,
   and with ``balance = "headroom"`` to what their answers said is left of their limits, too.
4. What a call has tried it does not try again.
"""

from collections.abc import Sequence
from math import ceil, inf
from typing import Protocol

from ..errors import NoTargetAvailable, Refusal
from ..records import Clock
from .affinity import NO_KEY, AffinityRule, hashed, preference
from .breaker import Breaker
from .headroom import Headroom, headroom_told, leaves_room
from .retry_after import seconds_to_wait
from .retry_budget import RetryBudget
from .settings import BreakerSettings, DeploymentSettings, Target, TargetSettings

__all__ = ["Candidates", "PassedOver", "PoolPolicy", "PoolTarget", "TargetHealth", "TargetPool", "Waiter"]


class Waiter(Protocol):
    """A call that waits for a connection to a target."""

    def move_on(self, refusal: Refusal) -> None:
        """Another one has waited long enough: nobody answers there. Goes elsewhere, if it may."""
        ...


class TargetHealth:
    """What is known of a target as it is now. Outlives a configuration that leaves the target as it was."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.breaker = Breaker(settings)
        self.latest = b""
        """The header lines of its latest answer."""
        self.headroom: Headroom | None = None
        """What these told; only where the balance asks for it."""
        self.is_probed = False
        """Whether the gateway is just connecting to it, to find out whether it can be reached again."""
        self.waiting: set[Waiter] = set()
        """Calls that wait for a connection to it."""
        self.calls = 0
        """Calls whose turn came here."""
        self.failovers = 0
        """Of these, those that went on to another target."""
        self.spillovers = 0
        """Calls that came here as no target of a lower priority took them."""

    def tell_waiting(self, refusal: Refusal) -> None:
        """Nobody need wait any longer for a connection to it."""
        for waiter in list(self.waiting):
            waiter.move_on(refusal)


class PoolTarget:
    """One target in its pool."""

    def __init__(self, target: Target, settings: TargetSettings, health: TargetHealth) -> None:
        self.target = target
        self.priority = settings.priority
        self.weight = 0.0 if settings.drain else float(settings.weight)
        """0.0: drained."""
        self.health = health
        self.breaker: Breaker = health.breaker
        self.turn = 0.0
        """How much it is its turn (smooth weighted round-robin)."""
        self.seed = hashed(f"{target.upstream}/{target.deployment}".encode())

    def __repr__(self) -> str:
        return f"<PoolTarget {self.target.upstream}/{self.target.deployment} {self.breaker!r}>"


class PassedOver:
    """A target that a call would have tried, and could not. Not to be changed."""

    def __init__(self, target: Target, reason: str, wait: float) -> None:
        """``reason``: why its breaker is open; ``wait``: seconds until it lets somebody try."""
        self.target = target
        self.reason = reason
        self.wait = wait


class PoolPolicy:
    """What the pools of one deployment share, for one configuration."""

    def __init__(self, settings: DeploymentSettings, clock: Clock) -> None:
        breaker = settings.breaker or BreakerSettings()
        self.name = settings.name
        self.clock = clock
        self.budget = RetryBudget(settings.retries)
        self.affinity = AffinityRule(settings.affinity) if settings.affinity else None
        self.by_headroom = settings.balance == "headroom"
        self.connect_within = float(breaker.connect_within)
        self.answer_within = float(breaker.answer_within) if breaker.answer_within is not None else 0.0
        """0.0: as long as the upstream may take."""


class TargetPool:
    """Where calls to one deployment can go, by one family of paths. Not to be changed.

    Without a policy it is plain: its targets are tried in their order, and nothing is kept of how they are.
    """

    def __init__(
        self, targets: Sequence[Target], policy: PoolPolicy | None = None, members: Sequence[PoolTarget] = ()
    ) -> None:
        """``members``: the same targets, in the same order, where there is a policy."""
        self.targets = tuple(targets)
        self.policy = policy
        self.members = list(members)
        self.first_priority = min([member.priority for member in members if member.weight > 0.0], default=0)

    def __repr__(self) -> str:
        return f"<TargetPool {self.members or self.targets!r}>"

    def only(self, targets: Sequence[Target]) -> "TargetPool":
        """The same pool with some of its targets."""
        if len(targets) == len(self.targets):
            return self
        return TargetPool(targets, self.policy, [member for member in self.members if member.target in targets])

    def pick(self, tried: list[PoolTarget], key: int, now: float, *, by_headroom: bool) -> PoolTarget | None:
        """The next one for a call, which begins there: its turn is taken, and an open breaker's probe is this call."""
        best: PoolTarget | None = None
        score = total = best_score = 0.0
        for member in self.members:
            if best is not None and member.priority != best.priority:
                break
            if not _takes(member, tried, now):
                continue
            weight = member.weight
            if by_headroom and member.health.headroom is not None:
                weight *= member.health.headroom.share(now)
            if key:
                score = preference(key, member.seed, weight)
            else:
                total += weight
                member.turn += weight
                score = member.turn
            if best is None or score > best_score:
                best, best_score = member, score
        if best is not None:
            best.turn -= total
            if not best.breaker.is_closed:
                best.breaker.begin(now)
            best.health.calls += 1
        return best

    def has_more(self, tried: list[PoolTarget], now: float) -> bool:
        """Whether one is left that takes a call."""
        return any(_takes(member, tried, now) for member in self.members)

    def wait(self, now: float) -> float | None:
        """Seconds until any of them lets a call try. ``None``: all are drained."""
        waits = [member.breaker.wait(now) for member in self.members if member.weight > 0.0]
        return min(waits) if waits else None

    def passed_over(self, tried: list[PoolTarget], chosen: PoolTarget | None, now: float) -> list[PassedOver]:
        """Which ones were not chosen as their breakers are open, though their priority is no higher."""
        return [
            PassedOver(member.target, member.breaker.reason, member.breaker.wait(now))
            for member in self.members
            if (chosen is None or member.priority <= chosen.priority)
            and not (member is chosen or member.weight <= 0.0 or member in tried or member.breaker.lets(now))
        ]


class Candidates:
    """One call's way through a pool."""

    member: PoolTarget | None = None
    """Whose turn it is; ``None`` in a plain pool."""
    before = b""
    """The header lines of that target's latest answer to another call."""
    passed: list[PassedOver] | None = None
    """Those that could not be chosen, in the order in which that showed."""

    def __init__(self, pool: TargetPool, key: int = NO_KEY) -> None:
        """``key``: what the call has in common with others that should go to the same target."""
        self.pool = pool
        self.targets = pool.targets
        self._key = key
        self._tried = 0
        self._members: list[PoolTarget] = []

    def next(self, *, costs: bool = False) -> Target | None:
        """Where to go now. ``costs``: as in ``has_more``, which has said that there is one."""
        policy = self.pool.policy
        if policy is None:
            if self._tried >= len(self.targets):
                return None
            self._tried += 1
            return self.targets[self._tried - 1]
        now, before = policy.clock.monotonic(), self.member
        member = self.pool.pick(self._members, self._key, now, by_headroom=policy.by_headroom)
        self.member = member
        if not self._all_closed:
            self._note(member, now)
        if member is None:
            return None
        if before is None:
            policy.budget.call()
        else:
            before.health.failovers += 1
            if costs:
                policy.budget.retry()
        if member.priority > self.pool.first_priority:
            member.health.spillovers += 1
        self.before = member.health.latest
        self._members.append(member)
        return member.target

    def has_more(self, *, costs: bool = False) -> bool:
        """Whether there is another target that takes the call. ``costs``: the request has gone out, and may have been
        worked at, so that making it again is a matter of the budget."""
        policy = self.pool.policy
        if policy is None:
            return self._tried < len(self.targets)
        if costs and not policy.budget.allows:
            return False
        return self.pool.has_more(self._members, policy.clock.monotonic())

    @property
    def _all_closed(self) -> bool:
        return all(member.breaker.is_closed for member in self.pool.members)

    def _note(self, chosen: PoolTarget | None, now: float) -> None:
        passed = self.pool.passed_over(self._members, chosen, now)
        if passed:
            self.passed = [*(self.passed or ()), *passed]

    @property
    def health(self) -> TargetHealth | None:
        """Of the target whose turn it is, where that is kept."""
        return self.member.health if self.member is not None else None

    @property
    def connect_within(self) -> float:
        """Seconds that a new connection is waited for, while there is another target."""
        return self.pool.policy.connect_within if self.pool.policy is not None else inf

    @property
    def answer_within(self) -> float:
        """Seconds that an answer is waited for, while there is another target; 0.0: as long as it takes."""
        return self.pool.policy.answer_within if self.pool.policy is not None else 0.0

    # --- what becomes of it ---

    def answered(self, status: int, lines: bytes) -> None:
        """The target whose turn it is has answered, with these header lines."""
        member, policy = self.member, self.pool.policy
        if member is None or policy is None:
            return
        health, breaker = member.health, member.breaker
        health.latest = lines
        if policy.by_headroom:
            health.headroom = headroom_told(lines, policy.clock.monotonic(), health.headroom)
        if status == 429 or status >= 500:
            now, seconds = policy.clock.monotonic(), None
            is_full = status == 429 and not leaves_room(lines)
            if is_full or status == 503:
                seconds = seconds_to_wait(lines, policy.clock.now(), resets=is_full)
            if is_full or seconds is not None:
                breaker.open(now, str(status), seconds)
            else:
                breaker.failed(now, str(status))
        elif not breaker.is_closed:
            breaker.succeeded()

    def failed(self, code: str) -> None:
        """It has not, or not to the end; or it has refused what the gateway signs in with."""
        if self.member is not None and self.pool.policy is not None:
            self.member.breaker.failed(self.pool.policy.clock.monotonic(), code)

    def out_of_reach(self, code: str) -> None:
        """Nothing could be sent to it."""
        if self.member is not None and self.pool.policy is not None:
            self.member.breaker.open(self.pool.policy.clock.monotonic(), code)

    def sooner_than(self, lines: bytes) -> NoTargetAvailable | None:
        """What a call hears instead of the answer that has no room for it, with these header lines: where that says to
        come back at least a second after one of the targets is tried again. SDKs give up where it says minutes."""
        policy = self.pool.policy
        refusal = self.refusal()
        if policy is None or refusal is None:
            return None
        told = seconds_to_wait(lines, policy.clock.now())
        wait = self.pool.wait(policy.clock.monotonic())
        return refusal if told is not None and wait is not None and wait <= told - 1.0 else None

    def refusal(self) -> NoTargetAvailable | None:
        """What a call hears where none of the targets takes any. ``None``: one does, or nobody knows."""
        policy = self.pool.policy
        if policy is None:
            return None
        wait = self.pool.wait(policy.clock.monotonic())
        if wait is None:
            return NoTargetAvailable(
                f"Every target of `{policy.name}` is drained, so that it takes no calls. Whoever runs this gateway can "
                "change that in its configuration."
            )
        if wait <= 0.0:
            return None
        refusal = NoTargetAvailable(
            f"No target of `{policy.name}` takes calls at present: each has no room or has failed. "
            f"The first one is tried again in {ceil(wait)} s."
        )
        refusal.retry_after = str(ceil(wait))
        return refusal


def _takes(member: PoolTarget, tried: list[PoolTarget], now: float) -> bool:
    if member.weight <= 0.0 or (tried and member in tried):
        return False
    return member.breaker.is_closed or member.breaker.lets(now)
