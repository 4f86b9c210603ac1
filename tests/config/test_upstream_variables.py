"""Without a file the variables that the SDKs know are enough, and what they say twice is told."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tokenweir.config import Loaded, examine, load
from tokenweir.config.upstream_variables import upstream_from_variables
from tokenweir.upstream import UpstreamSettings

AZURE = "https://my.openai.azure.com"


def only(environ: dict[str, str]) -> tuple[Loaded, UpstreamSettings]:
    loaded = load(None, environ)
    [upstream] = loaded.config.upstreams
    return loaded, upstream


@pytest.mark.parametrize("end", ["", "/", "/openai", "/openai/", "/openai/v1", "/openai/v1/", "//openai//v1//"])
@pytest.mark.parametrize("variable", ["AZURE_OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT"])
def test_an_azure_address_is_one_however_it_ends(variable: str, end: str) -> None:
    loaded, upstream = only({variable: AZURE + end, "AZURE_OPENAI_API_KEY": "k", "OPENAI_API_VERSION": "2024-10-21"})
    assert (upstream.name, upstream.kind, upstream.endpoint.rstrip("/")) == ("azure", "azure", AZURE)
    assert (upstream.credential.key_env, upstream.api_version) == ("AZURE_OPENAI_API_KEY", "2024-10-21")
    assert loaded.origins.of(("upstreams",)) == variable
    assert not [note for note in loaded.notes if "OPENAI" in note]


@pytest.mark.parametrize(
    "url",
    ["https://api.openai.com/v1", "https://api.openai.com", "https://eu.api.openai.com/v1/", "https://llm.example/v1"],
)
@pytest.mark.parametrize("variable", ["AZURE_OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT"])
def test_openais_own_api_is_known_by_its_address_in_the_variables_of_azure(variable: str, url: str) -> None:
    loaded, upstream = only({variable: url, "AZURE_OPENAI_KEY": "k", "AZURE_OPENAI_API_VERSION": "2024-10-21"})
    assert (upstream.kind, upstream.endpoint) == ("openai", url)
    assert (upstream.credential.key_env, upstream.api_version) == ("AZURE_OPENAI_KEY", None)
    assert (
        f"AZURE_OPENAI_API_VERSION is set and not used: {variable} leads to an API that has no versions" in loaded.notes
    )
    assert (
        only({variable: url, "AZURE_OPENAI_KEY": "k", "OPENAI_API_KEY": "o"})[1].credential.key_env == "OPENAI_API_KEY"
    )


@pytest.mark.parametrize("url", [AZURE + "/v1", "https://gateway.example/openai/v1", "https://gateway.example"])
def test_what_may_be_azures_is_taken_for_azures(url: str) -> None:
    assert only({"AZURE_OPENAI_BASE_URL": url, "AZURE_OPENAI_KEY": "k"})[1].kind == "azure"


def test_claude_in_foundry_is_known_by_its_own_variables() -> None:
    url = "https://my.services.ai.azure.com/anthropic"
    loaded, upstream = only(
        {"ANTHROPIC_FOUNDRY_BASE_URL": url, "ANTHROPIC_FOUNDRY_API_KEY": "k", "OPENAI_API_KEY": "for something else"}
    )
    assert (upstream.name, upstream.kind, upstream.endpoint) == ("anthropic", "anthropic", url)
    assert upstream.credential.key_env == "ANTHROPIC_FOUNDRY_API_KEY"
    assert not loaded.problems
    loaded, upstream = only(
        {"AZURE_OPENAI_ENDPOINT": AZURE, "AZURE_OPENAI_API_KEY": "k", "ANTHROPIC_FOUNDRY_BASE_URL": url}
    )
    assert upstream.kind == "azure"
    assert "ANTHROPIC_FOUNDRY_BASE_URL is set and not used: AZURE_OPENAI_ENDPOINT says where calls go" in loaded.notes


@pytest.mark.parametrize(
    ("variable", "first", "second"),
    [
        ("AZURE_OPENAI_BASE_URL", "AZURE_OPENAI_KEY", "AZURE_OPENAI_API_KEY"),
        ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY"),
    ],
)
def test_an_endpoint_goes_with_its_own_key_and_else_with_the_other(variable: str, first: str, second: str) -> None:
    both = {variable: AZURE, first: "k", second: "secret-2"}
    loaded, upstream = only(both)
    assert upstream.credential.key_env == first
    [note] = [note for note in loaded.notes if second in note]
    assert note == f"{second} is set to another key and not used: {variable} goes with {first}"
    assert only({variable: AZURE, second: "k"})[1].credential.key_env == second
    assert not [note for note in only({**both, second: "k"})[0].notes if second in note]


def test_of_two_endpoints_the_gateways_own_variable_wins_and_the_other_is_told() -> None:
    environ = {
        "AZURE_OPENAI_BASE_URL": AZURE,
        "AZURE_OPENAI_ENDPOINT": "https://other.openai.azure.com/?secret",
        "AZURE_OPENAI_KEY": "k",
        "AZURE_OPENAI_API_VERSION": "2024-10-21",
        "OPENAI_API_VERSION": "2024-02-01",
    }
    loaded, upstream = only(environ)
    assert (upstream.endpoint, upstream.api_version) == (AZURE, "2024-10-21")
    told = [note for note in loaded.notes if "OPENAI" in note]
    assert told[0] == "AZURE_OPENAI_ENDPOINT is set and not used: AZURE_OPENAI_BASE_URL says where calls go"
    assert told[1].startswith("OPENAI_API_VERSION is set and not used: AZURE_OPENAI_API_VERSION says")
    assert "secret" not in str(told)
    environ["AZURE_OPENAI_ENDPOINT"] = f"{AZURE}/openai"
    assert "AZURE_OPENAI_ENDPOINT" not in str(load(None, environ).notes)


def test_an_openai_key_alone_means_openai_and_that_is_said() -> None:
    loaded, upstream = only({"OPENAI_API_KEY": "k"})
    assert (upstream.kind, upstream.endpoint) == ("openai", "https://api.openai.com/v1")
    assert upstream.credential.key_env == "OPENAI_API_KEY"
    assert any("api.openai.com" in note for note in loaded.notes)


def test_openais_base_url_is_followed_and_may_be_azures() -> None:
    _, upstream = only({"OPENAI_BASE_URL": "http://127.0.0.1:9999/v1", "OPENAI_API_KEY": "k"})
    assert (upstream.kind, upstream.endpoint) == ("openai", "http://127.0.0.1:9999/v1")
    _, upstream = only({"OPENAI_BASE_URL": f"{AZURE}/openai/v1/", "OPENAI_API_KEY": "k"})
    assert (upstream.kind, upstream.endpoint, upstream.credential.key_env) == ("azure", AZURE, "OPENAI_API_KEY")


def test_a_key_without_an_endpoint_says_what_is_missing() -> None:
    [problem] = examine(None, {"AZURE_OPENAI_API_KEY": "secret"}).problems
    assert "AZURE_OPENAI_API_KEY is set, and AZURE_OPENAI_ENDPOINT is not" in problem and "secret" not in problem


def test_what_a_file_says_wins_and_clients_variables_are_no_matter(here: Path, minimal: str) -> None:
    (here / "tokenweir.toml").write_text(minimal)
    loaded = load(None, {"AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:8080", "OPENAI_API_KEY": "k"})
    assert [upstream.name for upstream in loaded.config.upstreams] == ["sweden"]
    assert "OPENAI" not in str(loaded.notes)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost:8080/", "http://[::1]:8080/openai/v1"])
def test_a_gateway_does_not_call_itself(url: str) -> None:
    environ = {"AZURE_OPENAI_ENDPOINT": url, "AZURE_OPENAI_API_KEY": "k"}
    [problem] = examine(None, environ).problems
    assert "is this gateway's own address" in problem and "AZURE_OPENAI_BASE_URL" in problem
    assert examine(None, {**environ, "AZURE_OPENAI_BASE_URL": AZURE}).problems == []


@given(
    st.dictionaries(st.sampled_from(["AZURE_OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT", "OPENAI_BASE_URL"]), st.text())
)
def test_whatever_they_hold_is_read(environ: dict[str, str]) -> None:
    upstream_from_variables(environ)
