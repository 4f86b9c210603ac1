"""The configuration can be looked at: what was read from where, what is in force, what is wrong."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Tokenweir = Callable[..., Any]


def test_a_good_configuration_is_shown_with_its_origins(
    tokenweir: Tokenweir, minimal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENWEIR_JOURNAL__DURABILITY", "strict")
    ran = tokenweir("config", "check")
    assert ran.exit_code == 0
    assert 'durability = "strict"  # TOKENWEIR_JOURNAL__DURABILITY' in ran.out
    assert "# tokenweir.toml" in ran.out
    assert "The configuration is good." in ran.out
    assert "sk-upstream-secret" not in ran.out + ran.err


def test_problems_come_with_what_could_be_read_and_exit_code_2(tokenweir: Tokenweir, minimal: Path) -> None:
    minimal.write_text(minimal.read_text() + "[server]\nrelays = 0\n[journal]\ndirectry = 'x'\n")
    ran = tokenweir("config", "check")
    assert ran.exit_code == 2
    assert "relays = 0" in ran.out and "is good" not in ran.out
    assert "problem: tokenweir.toml: [server] relays: must be at least 1" in ran.err
    assert "problem: tokenweir.toml: [journal] directry: did you mean `directory`?" in ran.err


def test_notes_are_no_problems(tokenweir: Tokenweir, minimal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_EVENTHUB_CONN_STR", "Endpoint=sb://calls")
    ran = tokenweir("config", "check")
    assert ran.exit_code == 0
    assert "note: AZURE_EVENTHUB_CONN_STR is set and no [[sinks]] uses it" in ran.out


def test_show_prints_toml_with_every_setting_and_no_secret(tokenweir: Tokenweir, minimal: Path) -> None:
    ran = tokenweir("config", "show")
    shown = tomllib.loads(ran.out)
    assert shown["server"]["data"] == "127.0.0.1:8080"
    assert shown["upstreams"][0]["credential"] == {"key": "****"}
    assert "sk-upstream-secret" not in ran.out


def test_the_file_can_be_named_by_variable(
    tokenweir: Tokenweir, minimal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minimal.rename("other.toml")
    monkeypatch.setenv("TOKENWEIR_CONFIG", "other.toml")
    assert "# other.toml" in tokenweir("config", "check").out


def test_the_example_is_a_configuration_once_it_names_a_resource(
    tokenweir: Tokenweir, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_KEY", "k")
    example = tokenweir("config", "example").out
    (here / "tokenweir.toml").write_text(example)
    checked = tokenweir("config", "check")
    assert checked.exit_code == 2 and "put the name of your Azure OpenAI resource there" in checked.err
    (here / "tokenweir.toml").write_text(example.replace("<your-resource>", "sweden"))
    assert tokenweir("config", "check").exit_code == 0
