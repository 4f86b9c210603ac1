"""Upstreams are opened by name, without opening a connection."""

import pytest

from support.clocks import JumpingClock
from tokenweir.errors import ConfigError
from tokenweir.providers import PROVIDERS
from tokenweir.upstream import CredentialSettings, UpstreamSettings, open_upstreams


def test_each_has_its_address_credential_and_connections() -> None:
    settings = [
        UpstreamSettings("sweden", "https://a.example", CredentialSettings(key="sk-1")),
        UpstreamSettings("local", "http://127.0.0.1:9/v1", CredentialSettings(key_env="K"), kind="openai"),
    ]
    upstreams = open_upstreams(settings, {"K": "sk-2"}, JumpingClock())
    assert list(upstreams) == ["sweden", "local"]
    assert [one.provider for one in upstreams.values()] == [PROVIDERS["azure"], PROVIDERS["openai"]]
    assert upstreams["local"].endpoint.base == b"/v1"
    assert upstreams["sweden"].credential.line == b"api-key: sk-1"
    assert upstreams["sweden"].pool is not upstreams["local"].pool
    assert repr(upstreams["sweden"]) == ("<Upstream sweden at a.example <Pool sweden [0 active, 0 idle, 0 opening]>>")


def test_a_mistake_in_one_is_told() -> None:
    with pytest.raises(ConfigError, match="K is not set"):
        open_upstreams(
            [UpstreamSettings("a", "https://a.example", CredentialSettings(key_env="K"))], {}, JumpingClock()
        )
    with pytest.raises(ConfigError, match="endpoint"):
        open_upstreams([UpstreamSettings("a", "a.example", CredentialSettings(key="k"))], {}, JumpingClock())
