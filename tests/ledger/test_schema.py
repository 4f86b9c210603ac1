"""Every engine has the same columns, in the steps that added them."""

import pytest

from tokenweir.ledger.clickhouse import migrations as clickhouse
from tokenweir.ledger.duckdb import migrations as duckdb
from tokenweir.ledger.postgres import migrations as postgres
from tokenweir.ledger.schema import FIRST_COLUMNS, default_of
from tokenweir.records import COLUMNS, CONTENTS


@pytest.mark.parametrize("engine", [duckdb, postgres, clickhouse])
def test_each_step_stands_at_its_number(engine: object) -> None:
    steps = [step.__name__ for step in engine.MIGRATIONS]  # type: ignore[attr-defined]
    assert [name for number, name in enumerate(steps, 1) if not name.startswith(f"_{number}_")] == []
    assert {column.since for column in COLUMNS} <= set(range(1, len(steps) + 1))


def test_columns_of_the_first_version_are_still_the_first_ones() -> None:
    """A new field that forgets its mark would be in no ledger that exists."""
    assert len(FIRST_COLUMNS) == 54
    assert not {column.name for column in FIRST_COLUMNS} & set(CONTENTS)


def test_rows_from_before_have_what_a_record_would_say() -> None:
    defaults = {column.name: default_of(column) for column in COLUMNS if column.since == 5}
    assert defaults["cache_write_tokens"] == " DEFAULT 0"
    assert defaults["tool_calls"] == " DEFAULT '{}'"
    assert defaults["service_tier"] == ""


def test_every_kind_of_column_has_a_type_in_every_engine() -> None:
    kinds = {column.kind for column in COLUMNS if column.name not in CONTENTS}
    for engine in (duckdb, postgres, clickhouse):
        assert kinds <= set(engine._TYPES)
