"""A price list that says something else than was meant is refused, with the fix."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tokenweir.config import examine, load
from tokenweir.errors import ConfigError

ROW = '[[prices]]\nmodel = "gpt-4o*"\ncurrency = "EUR"\ninput = "2.50"\noutput = "10"\n'


def problems(text: str) -> list[str]:
    Path("tokenweir.toml").write_text(text)
    return [one.removeprefix("tokenweir.toml: ") for one in examine(None, {}).problems]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (ROW.replace('"2.50"', '"-2.50"'), '#1 input: expected a price of a million tokens like "2.50", not negative'),
        (ROW.replace('"2.50"', "-2.5"), "#1 input: expected a price"),
        (ROW.replace('"2.50"', "0.1234567"), "#1 input: expected a price"),
        (ROW.replace('"2.50"', '"2,50"'), "#1 input: expected a price"),
        (ROW.replace('"2.50"', "true"), "#1 input: expected a price"),
        (ROW.replace('output = "10"\n', ""), "#1 output: is missing"),
        (ROW + 'cached_imput = "1"\n', "#1 cached_imput: did you mean `cached_input`?"),
        (ROW + 'since = "soon"\n', "#1 since: expected a date like 2026-11-01"),
        (ROW + "since = 2026\n", "#1 since: expected a date like 2026-11-01"),
        (ROW + 'id = ""\n', "#1 id: is empty"),
        (ROW.replace("gpt-4o*", "*-4o"), "#1 model: is a whole name like"),
        (ROW.replace("gpt-4o*", ""), "#1 model: is a whole name like"),
        (ROW.replace("EUR", "€"), "#1 currency: is three capital letters"),
        (ROW.replace('input = "2.50"\noutput = "10"\n', ""), "#1: has no price"),
        (ROW + "since = 2026-11-01\nuntil = 2026-11-01\n", "#1 until: is not after `since`"),
        (ROW + 'region = "a b"\n' + ROW + 'region = "b c"\n', "#2: is for the same calls as #1"),
        (ROW + 'id = "azure:mine"\n', "#1 id: is empty, or begins like those of listed prices"),
        (ROW + 'deployment_type = "zone"\n', '#1 deployment_type: expected one of "global", "data_zone"'),
        (ROW + ROW, "#2: is for the same calls as #1; let them differ in"),
        (ROW + 'id = "a"\n' + ROW.replace("gpt-4o*", "o3") + 'id = "a"\n', '#2 id: is "a", and so is that of #1'),
    ],
)
def test_a_wrong_row_is_refused_with_the_fix(minimal: str, wrong: str, problem: str) -> None:
    [said] = problems(minimal + wrong)
    assert said.startswith(f"[[prices]] {problem}"), said


def test_rows_are_read_as_they_are_written(minimal: str) -> None:
    rows = ROW.replace('"2.50"', "2.50") + "since = 2026-11-01\n" + ROW + 'sku = "ptu"\ncached_input = 0\n'
    Path("tokenweir.toml").write_text(minimal + rows)
    first, second = load(None, {}).config.prices
    assert (first.input, first.since) == (Decimal("2.5"), datetime(2026, 11, 1, tzinfo=UTC))
    assert (second.cached_input, second.input_audio, second.name) == (Decimal(0), None, "gpt-4o*/ptu")


def test_rows_may_come_from_a_variable(minimal: str) -> None:
    Path("tokenweir.toml").write_text(minimal)
    rows = '[{"model": "o3", "currency": "USD", "input": "2", "output": "8", "since": "2026-11-01"}]'
    [row] = load(None, {"TOKENWEIR_PRICES": rows}).config.prices
    assert (row.model, row.output, row.currency) == ("o3", Decimal(8), "USD")


def test_a_row_that_fits_two_models_of_different_list_prices_is_a_note_and_no_problem(minimal: str) -> None:
    Path("tokenweir.toml").write_text(minimal + ROW)
    loaded = load(None, {})
    assert [note for note in loaded.notes if note.startswith("[[prices]] #1 model: ") and "gpt-4o-mini" in note]


RATE = '[[exchange_rates]]\ncurrency = "USD"\nrate = "0.92"\n'
IN_EUROS = '[pricing]\ncurrency = "EUR"\n'


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (IN_EUROS + ROW.replace("EUR", "USD"), "[[prices]] #1 currency: is USD, and `[[exchange_rates]]` have no rate"),
        (IN_EUROS + 'list = "azure"\n', "[pricing] list: has prices in USD, and `[[exchange_rates]]` have no rate"),
        (RATE, "[[exchange_rates]]: say nothing without `pricing.currency`"),
        (
            IN_EUROS + RATE.replace("USD", "EUR"),
            "[[exchange_rates]] #1 currency: is three capital letters, and another",
        ),
        (IN_EUROS + RATE + RATE, "[[exchange_rates]] #2: begins when #1 does"),
        (IN_EUROS + RATE.replace("0.92", "-1"), "[[exchange_rates]] #1 rate: expected an exchange rate"),
        ("[[adjustments]]\n", "[[adjustments]] #1: changes nothing"),
        ('[[adjustments]]\ndiscount = "-5"\n', "[[adjustments]] #1 discount: expected percent from 0 on"),
        ('[[adjustments]]\ndiscount = "101"\n', "[[adjustments]] #1 discount: is more than 100 percent"),
        ('[pricing]\nlist = "mine"\n', '[pricing] list: expected one of "azure"'),
    ],
)
def test_what_is_made_of_prices_is_refused_where_it_cannot_be_meant(minimal: str, wrong: str, problem: str) -> None:
    [said] = problems(minimal + wrong)
    assert said.startswith(problem), said


def test_listed_prices_converted_and_discounted_are_taken(minimal: str) -> None:
    text = IN_EUROS + 'list = "azure"\ndeployment_type = "global"\n' + RATE
    text += '[[adjustments]]\ndiscount = 7.5\ntags = { cost_centre = "4711" }\n'
    assert problems(minimal + text) == []
    config = load(None, {}).config
    assert (config.pricing.list, config.exchange_rates[0].rate) == ("azure", Decimal("0.92"))
    assert (config.adjustments[0].discount, config.adjustments[0].tags) == (Decimal("7.5"), {"cost_centre": "4711"})


def test_rows_of_further_files_are_added_and_checked_with_the_others(minimal: str) -> None:
    Path("contracts").mkdir()
    Path("contracts/a.toml").write_text(ROW.replace("gpt-4o*", "o3"))
    assert problems(minimal + '[pricing]\nfiles = ["contracts/a.toml"]\n' + ROW) == []
    assert [row.model for row in load(None, {}).config.prices] == ["gpt-4o*", "o3"]
    Path("contracts/b.toml").write_text(ROW)
    [said] = problems(minimal + '[pricing]\nfiles = ["contracts/a.toml", "contracts/b.toml"]\n' + ROW)
    assert said.startswith("[[prices]] #3: is for the same calls as #1")
    Path("contracts/b.toml").write_text('[server]\ndata = "127.0.0.1:1"\n')
    [said] = problems(minimal + '[pricing]\nfiles = ["contracts/b.toml"]\n' + ROW)
    assert "a file of prices has [[prices]] and nothing else" in said


def test_a_file_of_prices_that_is_not_there_is_named(minimal: str) -> None:
    with pytest.raises(ConfigError, match=r"nosuch\.toml cannot be read"):
        problems(minimal + '[pricing]\nfiles = ["nosuch.toml"]\n' + ROW)
