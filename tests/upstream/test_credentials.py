"""How the gateway signs in, against the endpoints a managed identity really asks (served here on loopback)."""

import asyncio
import gc
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from support.clocks import JumpingClock
from support.identity import Authority, IdentityEndpoint as Endpoint, serving_authority, serving_identity
from support.servers import until
from tokenweir.errors import ConfigError, CredentialUnavailable
from tokenweir.providers import ProviderKind
from tokenweir.upstream import Credential, CredentialSettings, UpstreamSettings, credential_for, open_upstreams
from tokenweir.upstream.credentials import RenewedCredential


def credential(
    settings: CredentialSettings,
    environ: dict[str, str] | None = None,
    *,
    kind: ProviderKind = "azure",
    clock: JumpingClock | None = None,
) -> Credential:
    upstream = UpstreamSettings("sweden", "https://x.example", settings, kind=kind)
    return credential_for(upstream, environ or {}, clock or JumpingClock())


# --- a key, or the caller's ---


@pytest.mark.parametrize(
    ("kind", "line"),
    [("azure", b"api-key: sk-1"), ("openai", b"authorization: Bearer sk-1"), ("anthropic", b"x-api-key: sk-1")],
)
def test_a_key_signs_as_its_upstream_expects(kind: ProviderKind, line: bytes) -> None:
    for settings, environ in (
        (CredentialSettings(key="sk-1"), {}),
        (CredentialSettings(key_env="MY_KEY"), {"MY_KEY": " sk-1\n"}),
    ):
        chosen = credential(settings, environ, kind=kind)
        assert chosen.is_ready
        assert chosen.line == line
        assert "sk-1" not in repr(chosen)


@pytest.mark.parametrize("environ", [{}, {"MY_KEY": ""}])
def test_a_key_that_is_not_set_is_told_with_its_variable(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="'sweden': the environment variable MY_KEY is not set"):
        credential(CredentialSettings(key_env="MY_KEY"), environ)


@pytest.mark.anyio
async def test_a_key_passed_through_needs_no_line_and_no_wait() -> None:
    chosen = credential(CredentialSettings(pass_through=True))
    assert chosen.is_ready and chosen.line is None
    await chosen.obtain()
    await credential(CredentialSettings(key="k")).obtain()


# --- a managed identity ---


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def endpoint(clock: JumpingClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """An identity endpoint as App Service announces it."""
    with serving_identity(clock, monkeypatch) as endpoint:
        yield endpoint


MANAGED = CredentialSettings(managed_identity=True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "resource"),
    [("azure", "https://cognitiveservices.azure.com"), ("anthropic", "https://ai.azure.com")],
)
async def test_app_service_is_asked_for_a_token_of_the_provider(
    endpoint: Endpoint, clock: JumpingClock, kind: ProviderKind, resource: str
) -> None:
    chosen = credential(MANAGED, clock=clock, kind=kind)
    assert not chosen.is_ready and chosen.line is None
    assert repr(chosen) == "<RenewedCredential of its managed identity, without a token>"
    await chosen.obtain()
    assert chosen.is_ready and chosen.line == b"authorization: Bearer token-1"
    assert repr(chosen) == "<RenewedCredential of its managed identity, ready>"
    path, headers, query = endpoint.requests[0]
    assert path == "/msi/token"
    assert headers["X-IDENTITY-HEADER"] == "the-header"
    assert query["resource"] == [resource]
    assert "client_id" not in query


@pytest.mark.anyio
async def test_one_of_several_identities_is_asked_for_by_its_client_id(endpoint: Endpoint, clock: JumpingClock) -> None:
    await credential(CredentialSettings(managed_identity=True, client_id="id-7"), clock=clock).obtain()
    assert endpoint.requests[0][2]["client_id"] == ["id-7"]


@pytest.mark.anyio
async def test_a_virtual_machine_asks_its_metadata_service(
    endpoint: Endpoint, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IDENTITY_ENDPOINT")
    monkeypatch.delenv("IDENTITY_HEADER")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{endpoint.port}")
    chosen = credential(MANAGED, clock=clock)
    await chosen.obtain()
    assert chosen.line == b"authorization: Bearer token-1"
    assert endpoint.requests[0][0] == "/metadata/identity/oauth2/token"


async def looked(chosen: Credential) -> None:
    """What a look has begun is over."""
    chosen.look()
    assert isinstance(chosen, RenewedCredential)
    await until(lambda: chosen._obtaining is None)


@pytest.mark.anyio
async def test_a_token_is_renewed_some_minutes_before_it_ends_while_calls_go_on_with_it(
    endpoint: Endpoint, clock: JumpingClock
) -> None:
    chosen = credential(MANAGED, clock=clock)
    await looked(chosen)  # at the start, before any call
    assert chosen.is_ready
    clock.jump(3600 - 301)
    await looked(chosen)
    assert len(endpoint.requests) == 1
    clock.jump(2)
    endpoint.arrived.clear()
    endpoint.may_answer.clear()
    chosen.look()
    await asyncio.to_thread(endpoint.arrived.wait)
    assert chosen.is_ready and chosen.line == b"authorization: Bearer token-1"
    endpoint.may_answer.set()
    await until(lambda: chosen.line == b"authorization: Bearer token-2")
    assert len(endpoint.requests) == 2


@pytest.mark.anyio
async def test_an_identity_endpoint_that_is_down_when_a_token_ends_is_not_noticed_until_it_has_ended(
    endpoint: Endpoint, clock: JumpingClock, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = credential(MANAGED, clock=clock)
    await looked(chosen)
    endpoint.is_ill = True
    clock.jump(3600 - 299)
    with caplog.at_level(logging.WARNING, "tokenweir"):
        for _ in range(5):
            await looked(chosen)  # asks once, and then not again for two seconds
            assert chosen.is_ready
        clock.jump(3)
        await looked(chosen)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("tokenweir")]
    assert told == ["no credential from its managed identity: CredentialUnavailableError; the last one is still good"]
    assert len(endpoint.requests) == 3
    clock.jump(290)
    assert not chosen.is_ready
    with pytest.raises(CredentialUnavailable):
        await chosen.obtain()
    endpoint.is_ill = False
    clock.jump(60)
    await looked(chosen)
    assert chosen.is_ready


@pytest.mark.anyio
async def test_a_token_that_lives_for_moments_is_renewed_after_half_of_them(
    endpoint: Endpoint, clock: JumpingClock
) -> None:
    endpoint.lifetime = 100
    chosen = credential(MANAGED, clock=clock)
    await looked(chosen)
    clock.jump(49)
    await looked(chosen)
    assert len(endpoint.requests) == 1
    clock.jump(2)
    await looked(chosen)
    assert len(endpoint.requests) == 2
    clock.jump(91)
    assert not chosen.is_ready


@pytest.mark.anyio
async def test_a_clock_that_goes_back_costs_no_token(endpoint: Endpoint, clock: JumpingClock) -> None:
    chosen = credential(MANAGED, clock=clock)
    await looked(chosen)
    clock.jump(-86_400)
    await looked(chosen)
    assert chosen.is_ready and len(endpoint.requests) == 1


@pytest.mark.anyio
async def test_a_token_that_was_refused_is_replaced_once(endpoint: Endpoint, clock: JumpingClock) -> None:
    chosen = credential(MANAGED, clock=clock)
    await chosen.obtain()
    clock.jump(10)
    sent_first = clock.monotonic()
    clock.jump(1)
    assert chosen.replace(sent_first) and not chosen.is_ready
    await chosen.obtain()
    assert chosen.line == b"authorization: Bearer token-2"
    assert chosen.replace(sent_first) and chosen.is_ready  # another call was refused the token before
    clock.jump(1)
    assert not chosen.replace(clock.monotonic()) and chosen.is_ready  # a new one does not help either
    clock.jump(60)
    assert chosen.replace(clock.monotonic()) and not chosen.is_ready
    assert not credential(CredentialSettings(key="k")).replace(0.0)
    assert not credential(CredentialSettings(pass_through=True)).replace(0.0)


@pytest.mark.anyio
async def test_everyone_waits_for_one_request(endpoint: Endpoint, clock: JumpingClock) -> None:
    endpoint.may_answer.clear()
    chosen = credential(MANAGED, clock=clock)
    waiting = [asyncio.ensure_future(chosen.obtain()) for _ in range(5)]
    await asyncio.to_thread(endpoint.arrived.wait)
    waiting.append(asyncio.ensure_future(chosen.obtain()))
    waiting[0].cancel()  # whoever began it may go; the others still get their token
    endpoint.may_answer.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [None] * 5
    assert chosen.line == b"authorization: Bearer token-1"
    assert len(endpoint.requests) == 1


@pytest.mark.anyio
async def test_no_token_is_told_with_the_fix_and_asked_for_again(
    endpoint: Endpoint, clock: JumpingClock, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.is_ill = True
    chosen = credential(MANAGED, clock=clock)
    with caplog.at_level(logging.WARNING, "tokenweir"):
        refusals = await asyncio.gather(*(chosen.obtain() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(refusal, CredentialUnavailable) for refusal in refusals)
    assert "Cognitive Services OpenAI User" in str(refusals[0])
    assert isinstance(refusals[0], CredentialUnavailable) and refusals[0].__context__ is not None
    assert [record.name for record in caplog.records if record.name.startswith("tokenweir")] == [
        "tokenweir.upstream.credentials"
    ]
    assert not chosen.is_ready
    endpoint.is_ill = False
    await chosen.obtain()
    assert chosen.is_ready


@pytest.mark.anyio
async def test_a_failure_is_told_to_whoever_still_waits(endpoint: Endpoint, clock: JumpingClock) -> None:
    endpoint.is_ill = True
    endpoint.may_answer.clear()
    chosen = credential(MANAGED, clock=clock)
    first = asyncio.ensure_future(chosen.obtain())
    await asyncio.to_thread(endpoint.arrived.wait)
    second = asyncio.ensure_future(chosen.obtain())
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    endpoint.may_answer.set()
    with pytest.raises(CredentialUnavailable):
        await second
    assert first.cancelled() and len(endpoint.requests) == 1


@pytest.mark.anyio
async def test_a_failure_nobody_waits_for_any_more_is_quiet(endpoint: Endpoint, clock: JumpingClock) -> None:
    endpoint.is_ill = True
    endpoint.may_answer.clear()
    chosen = credential(MANAGED, clock=clock)
    assert isinstance(chosen, RenewedCredential)
    waiting = asyncio.ensure_future(chosen.obtain())
    await asyncio.to_thread(endpoint.arrived.wait)
    waiting.cancel()
    endpoint.may_answer.set()
    await until(lambda: chosen._obtaining is None)
    gc.collect()  # a failure that nobody saw would be reported now, and fail the test
    assert waiting.cancelled() and not chosen.is_ready


def test_without_the_azure_extra_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(ConfigError, match=r"pip install 'tokenweir\[azure\]'"):
        credential(MANAGED)


# --- a workload, an application, a vault, a file ---


@pytest.fixture
def authority(clock: JumpingClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Authority]:
    with serving_authority(clock, monkeypatch, tmp_path) as serving:
        yield serving


@pytest.mark.anyio
async def test_a_workload_shows_its_own_token(authority: Authority, clock: JumpingClock, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("the-workloads-own")
    settings = CredentialSettings(
        workload_identity=True,
        tenant_id="tenant-1",
        client_id="app-1",
        token_file=str(tmp_path / "token"),
        authority=authority.url,
    )
    chosen = credential(settings, clock=clock)
    await chosen.obtain()
    assert chosen.line == b"authorization: Bearer token-1"
    [form] = authority.forms
    assert (form["client_id"], form["client_assertion"]) == (["app-1"], ["the-workloads-own"])
    assert "https://cognitiveservices.azure.com/.default" in form["scope"][0]


@pytest.mark.anyio
async def test_an_application_shows_its_secret(authority: Authority, clock: JumpingClock) -> None:
    settings = CredentialSettings(
        client_secret_env="SECRET", tenant_id="tenant-1", client_id="app-1", authority=authority.url
    )
    chosen = credential(settings, {"SECRET": "sesame"}, clock=clock)
    await chosen.obtain()
    assert chosen.line == b"authorization: Bearer token-1"
    assert (authority.forms[0]["client_id"], authority.forms[0]["client_secret"]) == (["app-1"], ["sesame"])
    assert "sesame" not in repr(chosen) and "application app-1" in repr(chosen)
    with pytest.raises(ConfigError, match="the environment variable SECRET is not set"):
        credential(settings, {}, clock=clock)


@pytest.mark.anyio
async def test_a_key_in_a_vault_is_looked_at_again_and_replaced_when_it_is_refused(
    authority: Authority, endpoint: Endpoint, clock: JumpingClock
) -> None:
    chosen = credential(CredentialSettings(key_vault=f"{authority.url}/secrets/azure-openai"), clock=clock)
    await looked(chosen)
    assert chosen.line == b"api-key: key-1"
    assert authority.asked == [("/secrets/azure-openai", "api-version=7.4", "Bearer token-1")]
    authority.secret = "key-2\n"
    clock.jump(500)
    await looked(chosen)
    assert chosen.line == b"api-key: key-1"
    clock.jump(500)
    await looked(chosen)
    assert chosen.line == b"api-key: key-2"
    authority.secret = "key-3"
    assert chosen.replace(clock.monotonic() + 1)  # refused: it may have been exchanged
    await chosen.obtain()
    assert chosen.line == b"api-key: key-3"
    authority.is_ill = True
    clock.jump(86_400)
    await looked(chosen)
    assert chosen.is_ready and chosen.line == b"api-key: key-3"  # a vault that is away takes no key away


@pytest.mark.anyio
async def test_a_key_in_a_file_is_exchanged_in_place(clock: JumpingClock, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("key-1\n")
    chosen = credential(CredentialSettings(key_file=str(path)), clock=clock, kind="openai")
    await looked(chosen)
    assert chosen.line == b"authorization: Bearer key-1"
    path.write_text("key-2")
    clock.jump(31)
    await looked(chosen)
    assert chosen.line == b"authorization: Bearer key-2"
    path.write_text("two\nlines")
    clock.jump(31)
    await looked(chosen)
    assert chosen.line == b"authorization: Bearer key-2"
    path.unlink()
    fresh = credential(CredentialSettings(key_file=str(path)), clock=clock)
    with pytest.raises(CredentialUnavailable, match="could not obtain its credential from the file"):
        await fresh.obtain()


def test_with_a_new_configuration_an_upstream_keeps_its_token(endpoint: Endpoint, clock: JumpingClock) -> None:
    settings = UpstreamSettings("sweden", "https://x.example", MANAGED)
    before = open_upstreams([settings], {}, clock)
    moved = msgspec.structs.replace(settings, endpoint="https://y.example")
    assert open_upstreams([moved], {}, clock, before)["sweden"].credential is before["sweden"].credential
    other = msgspec.structs.replace(settings, credential=CredentialSettings(managed_identity=True, client_id="id-7"))
    assert open_upstreams([other], {}, clock, before)["sweden"].credential is not before["sweden"].credential
