"""Settings written out are TOML that reads back the same, and nothing secret is in it."""

import tomllib
from pathlib import Path

from hypothesis import given, strategies as st

from tokenweir.config import Loaded, load
from tokenweir.config.dump import as_toml, write
from tokenweir.records import Duration, Size


def loaded(text: str, **environ: str) -> Loaded:
    Path("tokenweir.toml").write_text(text)
    return load(None, environ)


def text_of(value: Loaded, *, defaults: bool) -> str:
    return "\n".join(line.text for line in write(value, defaults=defaults))


def test_what_is_written_reads_back_the_same(minimal: str) -> None:
    text = minimal.replace("sk-upstream-secret", "****") + (
        '[server]\nmax_body = "10MB"\nkeep_alive = 1.5\n'
        '[[deployments]]\nname = "gpt \\"4\\""\n'
        'targets = [{ upstream = "sweden", sku = "ptu", priority = 2 }]\n'
        '[[callers]]\nname = "a"\ntags = { "cost centre" = "4711", b = "ü" }\n'
        '[[prices]]\nmodel = "gpt*"\ncurrency = "EUR"\ninput = 2.5\noutput = "10.00"\n'
        "since = 2026-11-01T07:00:00+01:00\n"
    )
    before = loaded(text)
    assert loaded(text_of(before, defaults=True)).config == before.config
    assert loaded(text_of(before, defaults=False)).config == before.config


def test_only_what_somebody_set_is_written_without_defaults_and_with_its_origin(minimal: str) -> None:
    value = loaded(minimal + "[server]\nrelays = 2\n", TOKENWEIR_JOURNAL__CONTENT="full")
    assert [(line.text, line.origin) for line in write(value, defaults=False)][:5] == [
        ("[server]", None),
        ("relays = 2", "tokenweir.toml"),
        ("[journal]", None),
        ('content = "full"', "TOKENWEIR_JOURNAL__CONTENT"),
        ("[[upstreams]]", "tokenweir.toml"),
    ]


def test_lists_of_a_table_that_nobody_has_filled_are_not_written(minimal: str) -> None:
    value = loaded(
        minimal + '[[sinks]]\nname = "s"\nkind = "file"\nconnection = { path = "a" }\napis = ["responses"]\n'
    )
    lines = [line.text for line in write(value, defaults=False)]
    assert 'apis = ["responses"]' in lines
    assert not [line for line in lines if line.startswith("outcomes")]


def test_secrets_are_masked() -> None:
    value = loaded(
        '[server]\nadmin_token = "sk-secret-1"\n'
        '[ledger]\nurl = "postgresql://u:sk-secret-4@db/books?sslmode=require&password=sk-secret-5&x=1"\n'
        '[[upstreams]]\nname = "a"\nendpoint = "https://a"\nproxy = "http://u:sk-secret-2@proxy:1"\n'
        'credential = { key = "sk-secret-3" }\n'
        f'[[callers]]\nname = "a"\nkey_sha256 = "{"0123456789abcdef" * 4}"\n'
    )
    text = text_of(value, defaults=True)
    assert "sk-secret" not in text
    assert 'url = "postgresql://****@db/books?sslmode=require&password=****&x=1"' in text
    assert 'admin_token = "****"' in text
    assert 'credential = { key = "****" }' in text
    assert 'proxy = "http://****@proxy:1"' in text
    assert 'key_sha256 = "01234567…"' in text


@given(st.floats(0, 1e9))
def test_durations_read_back(seconds: float) -> None:
    seconds = round(seconds, 6)
    read = Duration.parse(tomllib.loads(f"x = {as_toml(Duration(seconds))}")["x"])
    assert abs(read - seconds) <= 1e-6 + seconds * 1e-9


@given(st.integers(0, 2**50))
def test_sizes_read_back(count: int) -> None:
    assert Size.parse(tomllib.loads(f"x = {as_toml(Size(count))}")["x"]) == count


@given(st.text())
def test_texts_read_back(text: str) -> None:
    assert tomllib.loads(f"x = {as_toml(text)}")["x"] == text


@given(st.dictionaries(st.text(), st.text()))
def test_tables_of_texts_read_back(table: dict[str, str]) -> None:
    assert tomllib.loads(f"x = {as_toml(table)}")["x"] == table


def test_durations_and_sizes_are_written_like_people_do() -> None:
    durations = {0.005: "5ms", 30: "30s", 75: "75s", 120: "2m", 7200: "2h", 86400: "1d", 0: "0s"}
    assert {seconds: as_toml(Duration(seconds)) for seconds in durations} == {
        seconds: f'"{text}"' for seconds, text in durations.items()
    }
    sizes = {1: "1", 1024: "1KB", 1536: "1536", 64 * 1024**2: "64MB", 1024**3: "1GB"}
    assert {count: as_toml(Size(count)) for count in sizes} == {count: f'"{text}"' for count, text in sizes.items()}
