"""Each provider's addresses, and what holds of all of them."""

import re
from typing import get_args

import pytest

from tokenweir.providers import KEY_HEADERS, PROVIDERS, ProviderKind
from tokenweir.records import PathFamily
from tokenweir.wire import CALLER_KEYS

KINDS: list[ProviderKind] = list(PROVIDERS)


def target(
    kind: ProviderKind, family: PathFamily, query: bytes = b"", *, base: bytes = b"", api_version: str | None = None
) -> bytes:
    tail = {"openai": "files/f-1/content", "anthropic": "messages"}.get(family, "chat/completions")
    return PROVIDERS[kind].request_target(base, family, tail, "there", query, api_version)


@pytest.mark.parametrize(
    ("kind", "base", "family", "expected"),
    [
        ("azure", b"", "deployments", b"/openai/deployments/there/chat/completions"),
        ("azure", b"", "v1", b"/openai/v1/chat/completions"),
        ("azure", b"", "openai", b"/openai/files/f-1/content"),
        ("azure", b"/base", "deployments", b"/base/openai/deployments/there/chat/completions"),
        ("azure", b"/base", "v1", b"/base/openai/v1/chat/completions"),
        ("azure", b"/base", "openai", b"/base/openai/files/f-1/content"),
        ("openai", b"", "deployments", b"/v1/chat/completions"),
        ("openai", b"", "v1", b"/v1/chat/completions"),
        ("openai", b"", "openai", b"/v1/files/f-1/content"),
        ("openai", b"/v1", "v1", b"/v1/chat/completions"),
        ("openai", b"/api/v1", "deployments", b"/api/v1/chat/completions"),
        ("openai", b"/api", "deployments", b"/api/v1/chat/completions"),
        ("anthropic", b"/anthropic", "anthropic", b"/anthropic/v1/messages"),
        ("anthropic", b"/anthropic/v1", "anthropic", b"/anthropic/v1/messages"),
        ("anthropic", b"", "anthropic", b"/v1/messages"),
    ],
)
def test_each_family_is_addressed_as_its_upstream_expects(
    kind: ProviderKind, base: bytes, family: PathFamily, expected: bytes
) -> None:
    assert target(kind, family, base=base) == expected
    assert target(kind, family, b"a=1&b", base=base) == expected + b"?a=1&b"


@pytest.mark.parametrize("family", ["deployments", "openai"])
def test_a_missing_api_version_is_added_where_one_belongs(family: PathFamily) -> None:
    assert target("azure", family, api_version="2024-10-21").endswith(b"?api-version=2024-10-21")
    assert target("azure", family, b"a=1", api_version="2024-10-21").endswith(b"?a=1&api-version=2024-10-21")


@pytest.mark.parametrize("family", ["deployments", "openai", "v1"])
def test_the_callers_own_api_version_stays(family: PathFamily) -> None:
    assert target("azure", family, b"api-version=preview", api_version="2024-10-21").endswith(b"?api-version=preview")


def test_v1_has_no_version_of_ours_and_openai_none_at_all() -> None:
    assert b"api-version" not in target("azure", "v1", api_version="2024-10-21")
    families: list[PathFamily] = ["deployments", "v1", "openai"]
    for family in families:
        found = target("openai", family, b"api-version=2023&a=1", api_version="2024-10-21")
        assert found.endswith(b"?a=1") and b"api-version" not in found


@pytest.mark.parametrize(
    ("kind", "line"),
    [("azure", b"api-key: k"), ("openai", b"authorization: Bearer k"), ("anthropic", b"x-api-key: k")],
)
def test_a_key_goes_where_its_provider_reads_it(kind: ProviderKind, line: bytes) -> None:
    assert PROVIDERS[kind].key_line("k") == line


def test_the_table_names_what_users_can_write() -> None:
    assert set(PROVIDERS) == set(get_args(ProviderKind))


@pytest.mark.parametrize(
    ("kind", "endpoint", "mistake"),
    [
        ("azure", "x.openai.azure.com/openai/v1", "ends in /openai"),
        ("anthropic", "x.services.ai.azure.com", "leads to OpenAI's models"),
        ("anthropic", "x.services.ai.azure.com/openai/v1/", "leads to OpenAI's models"),
        ("anthropic", "x.services.ai.azure.com/anthropic/v1/messages", "ends in /messages"),
        ("anthropic", "x.services.ai.azure.com/anthropic/", None),
        ("anthropic", "x.services.ai.azure.com/anthropic/v1", None),
        ("anthropic", "api.anthropic.com", None),
    ],
)
def test_an_endpoint_that_cannot_be_right_is_told_with_its_fix(
    kind: ProviderKind, endpoint: str, mistake: str | None
) -> None:
    found = PROVIDERS[kind].mistake_in(endpoint)
    assert (found is None) if mistake is None else (found is not None and found.startswith(mistake))


@pytest.mark.parametrize("kind", KINDS)
def test_a_description_is_consistent(kind: ProviderKind) -> None:
    provider = PROVIDERS[kind]
    assert provider.serves(provider.probe.family)
    assert provider.versioned <= set(provider.paths)
    assert provider.mistake_in(provider.example.partition("://")[2]) is None
    assert all(name == name.lower() for name, _ in provider.headers)
    for pattern in (provider.credential_messages, provider.network_messages):
        assert pattern is None or not re.search(pattern, "")
    assert all(0 < status < 500 for status in provider.probe.accepted)


def test_wherever_a_provider_reads_a_key_a_caller_may_have_put_one() -> None:
    assert set(KEY_HEADERS) <= set(CALLER_KEYS)
    assert CALLER_KEYS[-1] == b"authorization"  # beside another key it is often a token of somebody else's
