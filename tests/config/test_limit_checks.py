"""Limits that would limit nobody, or everybody for ever, are refused with what to write instead."""

from pathlib import Path

import pytest

from tokenweir.config import load
from tokenweir.errors import ConfigError

UPSTREAM = '[[upstreams]]\nname = "sim"\nendpoint = "http://127.0.0.1:1"\ncredential = { key = "k" }\n'

DOLLARS = '[[prices]]\nmodel = "m"\ncurrency = "USD"\ninput = "1"\noutput = "1"\n'


def problem(folder: Path, text: str) -> str:
    file = folder / "tokenweir.toml"
    file.write_text(f"{UPSTREAM}{text}")
    with pytest.raises(ConfigError) as refused:
        load(file, {})
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[admission]\ntime_zone = "Europe/Nowhere"', "'Europe/Nowhere' is no time zone; write it like UTC"),
        ('[admission]\ntime_zone = "../etc"', "is no time zone"),
        ("[admission]\nmonth_starts = 31", "is a day from 1 to 28"),
        ("[admission]\nbytes_per_token = 0", "must be at least 1"),
        ('[admission]\nsession_from = ["cookie"]', "'cookie' is none: there are headers like header:x-session-id"),
        ('[admission]\nholder = "http://here"', "begins with none of redis://"),
        ('[admission]\non_outage = "ajar"', 'expected one of "closed", "open"'),
        ('[[limits]]\nname = "a"\nlimits = {}', "is empty; say how much"),
        ('[[limits]]\nname = "a"\nlimits = { tokens_per_day = -1 }', "must not be negative; 0 allows nothing"),
        ('[[limits]]\nname = "a"\nlimits = { tokens_per_dya = 1 }', "did you mean `tokens_per_day`?"),
        ('[[limits]]\nname = "a"\nper = ["team"]\nlimits = { tokens_per_day = 1 }', "'team' is none; there are caller"),
        (
            '[[groups]]\nname = "gold"\n[[limits]]\nname = "a"\ngroups = ["glod"]\nlimits = { tokens_per_day = 1 }',
            "did you mean `gold`?",
        ),
        ('[[limits]]\nname = "a"\nlimits = { cost_per_day = "5 EUR" }', "limits money, and there are no [[prices]]"),
        (
            f'[[limits]]\nname = "a"\nlimits = {{ cost_per_day = "5 EUR" }}\n{DOLLARS}',
            "is in EUR, and [[prices]] are in USD",
        ),
        ('[[limits]]\nname = "a"\nlimits = { cost_per_day = 5 }', 'expected an amount of money like "500 EUR"'),
        ('[[groups]]\nname = "gold"\nlimits = { concurrent_calls = -5 }', '"gold" limits.concurrent_calls'),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in problem(tmp_path, text)


def test_what_is_meant_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "tokenweir.toml"
    file.write_text(
        f"""{UPSTREAM}
[[callers]]
name = "a"
limits = {{ requests_per_minute = 600, tokens_per_month = 50000000, on_overrun = "end" }}

[[limits]]
name = "agents"
per = ["caller", "session"]
callers = ["a", "made-by-keys-create"]
limits = {{ tokens_per_hour = 0 }}

[admission]
time_zone = "Europe/Berlin"
holder = "rediss://cache.example:6380"
"""
    )
    config = load(file, {}).config
    assert config.callers[0].limits.tokens_per_month == 50_000_000
    assert config.limits[0].limits.tokens_per_hour == 0
