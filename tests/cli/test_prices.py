"""``tokenweir prices``: what there is, what is wrong, what changed, which price made what, and what is shared out."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from cli.conftest import MINIMAL, Ran
from support.call_records import a_call
from tokenweir.delivery import Pricer
from tokenweir.ledger import open_ledger
from tokenweir.pricing import Price, PriceSettings, PricingSettings
from tokenweir.records import CallRecord

Tokenweir = Callable[..., Ran]

LEDGER = '[ledger]\nurl = "duckdb:books.duckdb"\n'
ROW = '[[prices]]\nmodel = "{}"\ncurrency = "USD"\ninput = "{}"\noutput = "10"\n'
OCTOBER, NOVEMBER = datetime(2026, 10, 12, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)


def post(*records: CallRecord) -> None:
    price = Pricer(
        [PriceSettings("gpt-4o*", "USD", input=Price("2.5"), output=Price(10))], PricingSettings(list="azure")
    )
    ledger = open_ledger("duckdb:books.duckdb")
    ledger.post([price(record) for record in records], "test", None)
    ledger.close()


def test_prices_of_the_configuration_come_first_and_what_azure_lists_below_with_its_meters(
    here: Path, tokenweir: Tokenweir
) -> None:
    (here / "tokenweir.toml").write_text(MINIMAL + ROW.format("gpt-5.4", "1"))
    listed = json.loads(tokenweir("prices", "list", "--azure", "--model", "gpt-5.4", "--format", "json").out)
    assert [listed[0][name] for name in ("price_id", "meter", "price", "source")] == ["gpt-5.4", "input", "1", None]
    assert {"price": "2.5", "source": "5.4 inp Gl 1M Tokens"}.items() <= next(
        row for row in listed if row["price_id"].startswith("azure:gpt-5.4/global@") and row["meter"] == "input"
    ).items()
    assert "there are no such prices" in tokenweir("prices", "list", "--model", "nosuch").err


def test_a_check_names_every_wrong_price_and_fails(here: Path, tokenweir: Tokenweir) -> None:
    (here / "tokenweir.toml").write_text(MINIMAL + ROW.format("gpt-4o", "1") * 2)
    ran = tokenweir("prices", "check")
    assert ran.exit_code == 1
    assert "[[prices]] #2: is for the same calls as #1" in ran.out
    (here / "tokenweir.toml").write_text(MINIMAL + ROW.format("gpt-4o", "1"))
    assert (tokenweir("prices", "check").exit_code, "0 problems" in tokenweir("prices", "check").out) == (0, True)


def test_a_difference_is_told_price_by_price_and_a_list_that_goes_backwards_fails(
    here: Path, tokenweir: Tokenweir
) -> None:
    begins = "since = {}\n"
    (here / "old.toml").write_text(MINIMAL + ROW.format("gpt-4o", "2") + begins.format("2026-10-01"))
    (here / "new.toml").write_text(MINIMAL + ROW.format("gpt-4o", "3") + begins.format("2026-11-01"))
    changed = json.loads(tokenweir("prices", "diff", "old.toml", "new.toml", "--format", "json").out)
    assert [(one["what"], one["meter"], one["old"], one["new"], one["percent"]) for one in changed] == [
        ("changed", "input", "2", "3", "+50.0")
    ]
    back = tokenweir("prices", "diff", "new.toml", "old.toml", "--format", "json")
    assert (back.exit_code, {one["what"] for one in json.loads(back.out)}) == (1, {"backwards"})
    assert "both say the same" in tokenweir("prices", "diff", "azure", "azure").err


def test_what_is_no_list_is_refused(here: Path, tokenweir: Tokenweir) -> None:
    (here / "broken.tsv").write_text("model\tprices\ngpt-4o\ttwo\n")
    ran = tokenweir("prices", "diff", "broken.tsv", "azure")
    assert ran.exit_code == 2
    assert "is no table of prices" in ran.err


def test_a_cost_is_explained_line_by_line_with_azure_s_meters_and_by_today_s_prices(
    here: Path, tokenweir: Tokenweir
) -> None:
    (here / "tokenweir.toml").write_text(MINIMAL + LEDGER + ROW.format("gpt-4o*", "5"))
    call = a_call(
        call_id="one",
        requested_model=None,
        response_model="gpt-5.4",
        sku="GlobalStandard",
        started_at=OCTOBER,
        cache_write_tokens=1,
    )
    post(call, a_call(call_id="two", response_model="gpt-4o", input_tokens=10, output_tokens=0))
    told = json.loads(tokenweir("prices", "explain", "two", "--format", "json").out)
    assert (told["recorded"]["cost"], told["today"]["cost"]) == ("0.000025", "0.00005")
    ran = tokenweir("prices", "explain", "one")
    assert "5.4 inp Gl 1M Tokens" in ran.out
    assert ("unpriced" in ran.out, "no_cache_write" in ran.out, "recorded: at least" in ran.err) == (True, True, True)
    assert tokenweir("prices", "explain", "nosuch").exit_code == 1


def test_hours_of_a_reservation_are_shared_and_what_spilled_over_stands_apart(here: Path, tokenweir: Tokenweir) -> None:
    reservation = '[[reservations]]\ndeployment = "chat"\nunits = 1\nhourly = "1"\ncurrency = "USD"\n'
    (here / "tokenweir.toml").write_text(MINIMAL + LEDGER + reservation)
    served = {"deployment": "chat", "response_model": "gpt-4o", "started_at": OCTOBER, "output_tokens": 0}
    an_hour = 2_500 * 60
    post(
        a_call(call_id="a", caller="ada", sku="ptu", input_tokens=3 * an_hour, **served),
        a_call(call_id="b", caller="bob", sku="ptu", input_tokens=an_hour, **served),
        a_call(call_id="c", caller="bob", sku="ptu", spillover_from="chat", input_tokens=1_000_000, **served),
    )
    rows = json.loads(tokenweir("prices", "ptu", "--month", "2026-10", "--format", "json").out)
    assert [(row["caller"], row["what"], row["hours"], Decimal(row["amount"])) for row in rows] == [
        ("ada", "used", "3.000000", 3),
        ("bob", "used", "1.000000", 1),
        (None, "idle", "740.000000", 740),
        ("bob", "spilled over", None, Decimal("2.5")),
    ]


def test_one_line_of_an_invoice_is_split_by_team_and_model(here: Path, tokenweir: Tokenweir) -> None:
    (here / "tokenweir.toml").write_text(MINIMAL + LEDGER)
    claude = {
        "requested_model": None,
        "sku": "GlobalStandard",
        "output_tokens": 0,
        "started_at": datetime(2026, 11, 25, tzinfo=UTC),
    }
    post(
        a_call(call_id="a", caller="ada", response_model="claude-opus-5", input_tokens=200_000, **claude),
        a_call(call_id="b", caller="bob", response_model="claude-sonnet-4-6", input_tokens=1_000_000, **claude),
        a_call(call_id="c", caller="bob", response_model="gpt-4o", input_tokens=1_000_000, **claude),
    )
    rows = json.loads(tokenweir("prices", "split", "100", "--month", "2026-11", "--format", "json").out)
    assert [(row["caller"], row["model"], row["amount"]) for row in rows] == [
        ("ada", "claude-opus-5", "25.000000000000"),
        ("bob", "claude-sonnet-4-6", "75.000000000000"),
    ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["split", "-5"], "No such option"),
        (["split", "five"], "is no amount"),
        (["split", "5", "--month", "2026-13"], "is not a month"),
        (["ptu"], "there are no [[reservations]]"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(minimal: Path, tokenweir: Tokenweir, args: list[str], said: str) -> None:
    ran = tokenweir("prices", *args)
    assert ran.exit_code == 2
    assert said in ran.err
