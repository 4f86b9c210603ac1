"""The reference names every setting once, with its type, default, variable and meaning."""

from typing import Literal

import msgspec

from tokenweir.config.coercion import fields, item_of
from tokenweir.config.model import Config
from tokenweir.config.reference import settings_reference
from tokenweir.deployments.settings import TargetSettings
from tokenweir.records.meanings import meanings
from tokenweir.upstream.settings import CredentialSettings

PAGE = settings_reference()


class Sample(msgspec.Struct):
    """A table."""

    one: int = 1
    """Two
    lines, with ``code``."""
    bare: str = ""
    two: Literal["a", "b"] = "a"
    """Said."""


def test_a_meaning_is_the_docstring_below_the_field_on_one_line() -> None:
    assert meanings(Sample) == {"one": "Two lines, with `code`.", "two": "Said."}


def test_every_setting_has_a_meaning() -> None:
    tables = [item_of(field.type) or field.type for field in fields(Config).values()]
    for table in [*tables, CredentialSettings, TargetSettings]:
        assert set(fields(table)) - set(meanings(table)) == set(), table.__name__


def test_a_row_says_type_default_variable_and_meaning() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| `durability`"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:4] == [
        "`durability`",
        "`batch` or `strict` or `shipped`",
        '`"batch"`',
        "`TOKENWEIR_JOURNAL__DURABILITY`",
    ]
    assert cells[4].endswith(".")


def test_lists_are_one_variable_and_say_what_is_required() -> None:
    assert "As a variable: `TOKENWEIR_UPSTREAMS`, a JSON list." in PAGE
    row = next(line for line in PAGE.splitlines() if line.startswith("| `endpoint`"))
    assert "| text | *required* |" in row


def test_tables_inside_tables_have_a_section() -> None:
    assert "## `[[upstreams]] credential`" in PAGE
    assert "## `[[deployments]] targets`" in PAGE
