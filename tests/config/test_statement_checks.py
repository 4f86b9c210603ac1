"""A calendar or a rate that says something else than was meant is refused, with the fix."""

from pathlib import Path

import pytest

from tokenweir.config import examine, load

RATE = '[[statements.rates]]\ncurrency = "USD"\ninto = "EUR"\nrate = "0.92"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[statements]\ntimezone = "Europe/Berlim"\n', "timezone: time zone 'Europe/Berlim' is unknown; did you mean"),
        ("[statements]\nfiscal_year_month = 13\n", "fiscal_year_month: is a month, from 1 to 12"),
        ("[statements]\nfiscal_years = { FY27 = '2026-09-27' }\n", "fiscal_years: are years and their first days"),
        (
            "[statements]\nfiscal_years = { 2027 = '2026-09-27', 2028 = '2027-09-27' }\n",
            "fiscal_years: 2027 has neither 52 nor 53 weeks",
        ),
        ('[statements]\nfiscal_weeks = "4-4-4"\n', "fiscal_weeks:"),
        (RATE.replace("0.92", "0,92"), "rates #1 rate: is how many of `into`"),
        (RATE.replace("0.92", "0"), "rates #1 rate: is how many of `into`"),
        (RATE.replace("USD", "dollar"), "rates #1 currency: is three capital letters"),
        (RATE + RATE, "rates #2: is for the same currencies"),
    ],
)
def test_what_is_wrong_is_refused_with_the_fix(minimal: str, text: str, problem: str) -> None:
    Path("tokenweir.toml").write_text(minimal + text)
    said = " ".join(examine(None, {}).problems).replace('"', "`")
    assert problem in said, said


def test_calendar_and_rates_are_read_as_they_are_written(minimal: str) -> None:
    text = "[statements]\nfiscal_years = { 2027 = '2026-09-27', 2028 = '2027-09-26' }\n" + RATE + "since = 2026-10-01\n"
    Path("tokenweir.toml").write_text(minimal + text)
    read = load(None, {}).config.statements
    assert read.fiscal_years == {"2027": "2026-09-27", "2028": "2027-09-26"}
    assert str(read.rates[0].value) == "0.92"
    assert read.rates[0].since is not None
