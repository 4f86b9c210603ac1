"""A file's relative paths start at the file, wherever it is read; those of variables at the working directory."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from tokenweir.config import Config, Loaded, examine, load
from tokenweir.config.coercion import chosen_by, fields, item_of, path_mark, without_none
from tokenweir.delivery.sinks import FileConnection, OtlpConnection, dead_letters_place
from tokenweir.records import PathMark

SINK = '[[sinks]]\nname = "calls"\nkind = "file"\nconnection = { path = "calls.jsonl" }\n'


def read_there(here: Path, text: str, environ: dict[str, str] | None = None) -> Loaded:
    (here / "there").mkdir()
    (here / "there/my.toml").write_text(text)
    return examine(Path("there/my.toml"), environ or {})


def test_every_path_of_a_file_elsewhere_starts_at_the_file(here: Path, minimal: str) -> None:
    text = minimal + SINK + '[journal]\ndirectory = "j"\n[ledger]\nurl = "duckdb:l.duckdb"\n'
    text += '[server]\nkeys = "k.json"\ncertificate = "c.pem"\nprivate_key = "p.pem"\n'
    text = text.replace("credential", 'ca_bundle = "ca.pem"\ncredential')
    config = read_there(here, text).config
    assert config.journal.directory == "there/j"
    assert config.ledger.url == "duckdb:there/l.duckdb"
    assert (config.server.keys, config.server.certificate) == ("there/k.json", "there/c.pem")
    assert config.server.private_key == "there/p.pem"
    assert config.upstreams[0].ca_bundle == "there/ca.pem"
    assert config.sinks[0].connection == FileConnection(path="there/calls.jsonl")
    assert config.intake.dead_letters == "there/tokenweir-data/dead-letters/intake.jsonl"


def test_so_do_the_defaults(here: Path, minimal: str) -> None:
    loaded = read_there(here, minimal + SINK)
    config = loaded.config
    assert loaded.problems == []
    assert config.journal.directory == "there/tokenweir-data/journal"
    assert config.ledger.url == "duckdb:there/tokenweir-data/ledger.duckdb"
    assert config.server.keys == "there/tokenweir-data/keys.json"
    assert dead_letters_place(config.sinks[0]) == "there/tokenweir-data/dead-letters/calls.jsonl"


def test_absolute_paths_and_addresses_of_servers_stay(here: Path, minimal: str) -> None:
    text = '[journal]\ndirectory = "/var/j"\n[ledger]\nurl = "postgresql://u@h/d"\n'
    text += '[intake]\ndead_letters = "https://a.blob.core.windows.net/dead"\n'
    config = read_there(here, minimal + text).config
    assert config.journal.directory == "/var/j"
    assert config.ledger.url == "postgresql://u@h/d"
    assert config.intake.dead_letters == "https://a.blob.core.windows.net/dead"


def test_a_variables_path_starts_at_the_working_directory(here: Path, minimal: str) -> None:
    environ = {"TOKENWEIR_JOURNAL__DIRECTORY": "j", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    environ["OTEL_EXPORTER_OTLP_CERTIFICATE"] = "ca.pem"
    config = read_there(here, minimal + '[journal]\ndirectory = "other"\n' + SINK, environ).config
    assert config.journal.directory == "j"
    assert config.server.keys == "there/tokenweir-data/keys.json"
    spans = config.sinks[1].connection
    assert isinstance(spans, OtlpConnection)
    assert Path(spans.ca_bundle or "").resolve() == here / "ca.pem"


def test_a_file_in_the_working_directory_changes_no_path(here: Path, minimal: str) -> None:
    (here / "tokenweir.toml").write_text(minimal)
    for file in (None, Path("tokenweir.toml"), here / "tokenweir.toml"):
        assert load(file, {}).config.journal.directory == "tokenweir-data/journal"


def test_a_variable_names_another_directory_for_them(here: Path, minimal: str) -> None:
    assert load(None, {"TOKENWEIR_HOME": "/srv", "TOKENWEIR_UPSTREAMS": "[]"}, checked=False).config.server.keys == (
        "/srv/tokenweir-data/keys.json"
    )
    loaded = read_there(here, minimal, {"TOKENWEIR_HOME": "."})
    assert loaded.config.journal.directory == "tokenweir-data/journal"


def test_data_where_relative_paths_started_before_is_noticed(here: Path, minimal: str) -> None:
    (here / "tokenweir-data/journal").mkdir(parents=True)
    [note] = [note for note in read_there(here, minimal).notes if "journal" in note]
    assert f"{here}/tokenweir-data/journal is not used" in note
    assert "there/tokenweir-data/journal, where nothing is yet" in note and "TOKENWEIR_HOME=." in note
    (here / "there/tokenweir-data/journal").mkdir(parents=True)
    [note] = [note for note in examine(Path("there/my.toml"), {}).notes if "journal" in note]
    assert "where there is data, too" in note


def settings_of(kind: type[msgspec.Struct], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, field in fields(kind).items():
        for table in choice.tables.values() if (choice := chosen_by(field.type)) is not None else ():
            yield from settings_of(table, (*place, name))
        inner = item_of(field.type) or without_none(field.type)
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from settings_of(inner, (*place, name))
        else:
            yield (*place, name), field


def test_no_setting_that_sounds_like_a_path_is_forgotten() -> None:
    sounds = re.compile(r"keys|certificate|private_key|ca_bundle|path|directory|dead_letters|file|folder")
    looks = re.compile(r"tokenweir-data|\.(json|jsonl|duckdb|pem)\b")
    found = 0
    for place, field in settings_of(Config):
        # Whether they are hashed; how long they are kept.
        if place in (("intake", "subscription_keys"), ("retention", "dead_letters")):
            continue
        if sounds.fullmatch(place[-1]) or looks.search(str(field.default)):
            assert path_mark(field.type) is not None, place
            found += 1
    assert found >= 10


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_a_path_is_moved_once_and_keeps_its_end(text: str) -> None:
    mark = PathMark(scheme="duckdb:")
    moved = mark.under(Path("/there"), f"duckdb:{text}")
    if "://" in text:
        assert moved == f"duckdb:{text}"
    else:
        assert Path(moved.removeprefix("duckdb:")) == Path("/there") / text
        assert mark.under(Path("/other"), moved) == moved


@pytest.mark.parametrize("text", ["", "none", "duckdb:", "postgresql://u@h/d"])
def test_what_holds_no_path_is_left(text: str) -> None:
    assert PathMark(scheme="duckdb:").under(Path("/there"), text) == text
