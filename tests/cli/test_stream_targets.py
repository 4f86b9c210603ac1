"""Which endpoint is called with which key: options before profiles, profiles before the environment."""

from typing import Any

import pytest

from tokenweir.cli.streaming import Asked, target_for
from tokenweir.config import Config, ProfileSettings
from tokenweir.deployments import DeploymentSettings
from tokenweir.errors import ConfigError
from tokenweir.gateway import ServerSettings
from tokenweir.stopwatch import StreamTarget

PROFILES = [
    ProfileSettings("direct", "https://r.openai.azure.com", key_env="DIRECT_KEY", deployment="gpt-4.1"),
    ProfileSettings("apim", "https://x.azure-api.net", key_header="Ocp-Apim-Subscription-Key", api="responses"),
]


def found(
    name: str | None = None, environ: dict[str, str] | None = None, *, config: Config | None = None, **asked: Any
) -> StreamTarget:
    return target_for(name, Asked(**asked), config or Config(profiles=PROFILES), environ or {})


def test_a_profile_says_everything_and_options_win() -> None:
    direct = found("direct", {"DIRECT_KEY": "k-direct"})
    assert (direct.name, direct.deployment, direct.api) == ("direct", "gpt-4.1", "chat")
    assert direct.key_line == ("api-key", "k-direct")
    assert direct.key_source == "DIRECT_KEY"
    apim = found("apim", {"AZURE_OPENAI_API_KEY": "k-azure"}, deployment="o4-mini", api="chat")
    assert (apim.deployment, apim.api) == ("o4-mini", "chat")
    assert apim.key_line == ("Ocp-Apim-Subscription-Key", "k-azure")


AZURE = {"AZURE_OPENAI_API_KEY": "a"}
OPENAI = {"OPENAI_API_KEY": "o"}


@pytest.mark.parametrize(
    ("environ", "base", "key"),
    [
        ({}, "http://127.0.0.1:8080", None),
        (AZURE, "http://127.0.0.1:8080", "a"),
        ({"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/", **AZURE}, "https://r.openai.azure.com", "a"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", **OPENAI, **AZURE}, "http://127.0.0.1:9/v1", "o"),
        (OPENAI, "http://127.0.0.1:8080", None),
    ],
)
def test_without_a_name_the_sdks_variables_count_then_the_gateway_here(
    environ: dict[str, str], base: str, key: str | None
) -> None:
    target = found(None, environ)
    assert (target.base, target.key) == (base, key)


@pytest.mark.parametrize(
    ("data", "certificate", "base"),
    [
        ("0.0.0.0:8443", "cert.pem", "https://127.0.0.1:8443"),
        ("[::]:9000", None, "http://127.0.0.1:9000"),
        ("gateway.local:80", None, "http://gateway.local"),
    ],
)
def test_the_gateway_here_is_where_its_configuration_listens(data: str, certificate: str | None, base: str) -> None:
    server = ServerSettings(data=data, certificate=certificate)
    target = found(config=Config(server=server, deployments=[DeploymentSettings("mine", [])]))
    assert (target.base, target.deployment) == (base, "mine")


def test_a_key_that_is_given_wins() -> None:
    environ = {"DIRECT_KEY": "k", "OTHER": " k-other\n"}
    assert found("direct", environ, key="k-given").key == "k-given"
    other = found("direct", environ, key_env="OTHER")
    assert (other.key, other.key_source) == ("k-other", "OTHER")


def test_a_url_can_stand_where_a_name_does() -> None:
    target = found("http://127.0.0.1:9000/v1", {"OPENAI_API_KEY": "o"})
    assert (target.name, target.kind, target.key) == ("127.0.0.1:9000", "openai", "o")


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [
        ("direkt", {}, "did you mean direct"),
        ("nobody", {}, "there are direct, apim"),
        ("direct", {}, r'\[\[profiles\]\] "direct" key_env names DIRECT_KEY, and that is not set'),
        (None, {"key_env": "NOT_SET"}, "--key-env names NOT_SET"),
        (None, {"key": "a b"}, "the key from --key is empty, or holds"),
        (None, {"key_header": "api key"}, "must be a header's name"),
        (None, {"endpoint": "ftp://x"}, "must be like https"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_fix(name: str | None, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        found(name, {}, **asked)


def test_a_key_in_the_place_of_a_variables_name_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as raised:
        found(None, {}, key_env="sk-live-0123456789")
    assert "sk-live" not in str(raised.value)
    with pytest.raises(ConfigError) as raised:
        found(None, {}, key="bad key with spaces")
    assert "bad key" not in str(raised.value)
