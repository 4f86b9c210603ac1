"""A limit may be another one for a while, with an end and a reason; who did it stays written down."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from support.clocks import JumpingClock
from tokenweir.config import Config
from tokenweir.errors import ConfigError, QuotaExceeded
from tokenweir.journal import JournalSettings
from tokenweir.limits import Calendar, LimitAmounts, Limiter, LimitSettings
from tokenweir.limits.settings import Money
from tokenweir.policy import CallerSettings
from tokenweir.serve.limit_frames import holder_paths
from tokenweir.serve.limit_holder import FileStore
from tokenweir.serve.limit_overrides import OverridesWatch, limits_in, make_override, override_paths
from tokenweir.serve.limit_report import limit_states


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    amounts = LimitAmounts(tokens_per_day=100, concurrent_calls=5, cost_per_month=Money.parse("500 EUR"))
    return Config(
        journal=replace(JournalSettings(), directory=str(tmp_path)),
        callers=[CallerSettings("team-a", limits=amounts)],
        limits=[LimitSettings("agents", LimitAmounts(requests_per_minute=3), ["session"])],
    )


def override(config: Config, clock: JumpingClock, hours: float = 1, **how: Any) -> None:
    given: dict[str, Any] = {"limit": "caller team-a", "setting": "tokens_per_day", "amount": "200"} | how
    until = clock.now() + timedelta(hours=hours)
    make_override(config, **given, until=until, reason=how.pop("reason", "launch"), by="ada", clock=clock)


def test_it_is_in_force_at_once_and_ends_by_itself(config: Config, clock: JumpingClock) -> None:
    limiter, watch = Limiter(limits_in(config), Calendar()), OverridesWatch(override_paths(config)[0])

    def ask(tokens: int) -> None:
        limiter.override(watch.look(limiter.limits, clock.now()))
        moment = clock.now().timestamp()
        reservation = limiter.admit("team-a", (), "d", "chat", "", tokens, 0, clock.monotonic(), moment)
        limiter.settle(reservation, 0, clock.monotonic(), has_run=True, cost=0)

    with pytest.raises(QuotaExceeded):
        ask(150)
    override(config, clock)
    ask(150)
    clock.jump(3601)
    with pytest.raises(QuotaExceeded, match="quota of 100"):
        ask(150)


def test_who_did_it_and_why_stays_in_the_log(config: Config, clock: JumpingClock) -> None:
    override(config, clock)
    override(config, clock, amount="300")
    override(config, clock, setting="cost_per_month", amount="600 EUR")
    file, log = override_paths(config)
    lines = log.read_text().splitlines()
    assert [('"by":"ada"' in line, '"reason":"launch"' in line) for line in lines] == [(True, True)] * 3
    in_force = OverridesWatch(file).look(limits_in(config), clock.now())
    assert in_force == {"caller team-a tokens_per_day": 300, "caller team-a cost_per_month": 600_000_000_000}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"limit": "caller team-b"}, "did you mean `caller team-a`?"),
        ({"limit": "nobody's"}, "`tokenweir limits show` lists them"),
        ({"setting": "tokens_per_dya"}, "did you mean `tokens_per_day`?"),
        ({"setting": "requests_per_day"}, "it has concurrent_calls, tokens_per_day"),
        ({"amount": "many"}, "'many' is no whole number"),
        ({"amount": "-1"}, "must not be negative"),
        ({"setting": "cost_per_month"}, "is no amount of money"),
        ({"setting": "cost_per_month", "amount": "600 USD"}, "another currency than the limit, EUR"),
        ({"hours": -1}, "is past; give a later one"),
        ({"reason": "  "}, "give a reason"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    config: Config, clock: JumpingClock, how: dict[str, Any], said: str
) -> None:
    reason = how.pop("reason", "launch")
    hours = how.pop("hours", 1)
    given: dict[str, Any] = {"limit": "caller team-a", "setting": "tokens_per_day", "amount": "200"} | how
    with pytest.raises(ConfigError) as refused:
        make_override(config, **given, until=clock.now() + timedelta(hours=hours), reason=reason, by="ada", clock=clock)
    assert said in str(refused.value)
    assert not any(path.exists() for path in override_paths(config))


def test_a_file_that_somebody_has_broken_leaves_what_was_in_force(config: Config, clock: JumpingClock) -> None:
    override(config, clock)
    file, watch = override_paths(config)[0], OverridesWatch(override_paths(config)[0])
    assert watch.look(limits_in(config), clock.now())
    file.write_text("?")
    assert watch.look(limits_in(config), clock.now())
    file.unlink()
    assert watch.look(limits_in(config), clock.now()) == {}


def test_what_is_left_is_told_for_whom_it_is_counted(config: Config, clock: JumpingClock) -> None:
    override(config, clock)
    store = FileStore(holder_paths(config)[1])
    day, month = (Calendar().period(window, clock.now().timestamp()).start for window in ("day", "month"))
    quotas = {
        ("caller team-a tokens_per_day", day): 30,
        ("caller team-a tokens_per_day", day - 86_400): 99,
        ("caller team-a cost_per_month", month): 1_250_000_000,
    }
    now = int(clock.monotonic())
    store.save(quotas, {"agents requests_per_minute session=7": [(now, 2)], "gone requests_per_minute": [(now, 1)]})
    store.close()
    told = [(one.limit, one.setting, one.counted_for, one.amount, one.left) for one in limit_states(config, clock)]
    assert told == [
        ("caller team-a", "concurrent_calls", "", "5", None),
        ("caller team-a", "tokens_per_day", "", "200", "170"),
        ("caller team-a", "cost_per_month", "", "500.00 EUR", "498.75 EUR"),
        ("agents", "requests_per_minute", "session=7", "3", "1"),
    ]
    reasons = [one.override.reason if one.override else None for one in limit_states(config, clock)]
    assert reasons == [None, "launch", None, None]


def test_before_anybody_has_called_all_is_left(config: Config, clock: JumpingClock) -> None:
    told = [(one.counted_for, one.used) for one in limit_states(config, clock)]
    assert told == [("", None), ("", "0"), ("", "0.00 EUR"), ("nobody yet", "0")]
