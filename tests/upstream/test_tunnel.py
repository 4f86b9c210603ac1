"""Through a forward proxy: what is asked of it, what it may answer, and when it is not asked."""

import asyncio
import base64
from pathlib import Path

import pytest

from support.clocks import JumpingClock
from support.receivers import Recorder
from support.servers import (
    TunnelProxy,
    answering,
    closed_port,
    closing,
    pool_of,
    serving,
    tls_pair,
    upstream_at,
)
from tokenweir.errors import UpstreamUnreachable
from tokenweir.proxies import Proxy
from tokenweir.upstream import Endpoint

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

AZURE = Endpoint.parse("https://example.openai.azure.com")


@pytest.mark.anyio
@pytest.mark.parametrize("credentials", ["", "me:p%40ss@"])
async def test_a_call_goes_through_a_tunnel_with_tls_inside(tmp_path: Path, credentials: str) -> None:
    tls, authority = tls_pair("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    proxy = TunnelProxy()
    async with serving(answering(OK), tls) as port, serving(proxy.script) as proxy_port:
        settings = upstream_at(
            f"https://localhost:{port}",
            ca_bundle=str(tmp_path / "ca.pem"),
            proxy=f"http://{credentials}127.0.0.1:{proxy_port}",
        )
        async with closing(pool_of(settings, JumpingClock())) as pool:
            connection = await pool.connect()
            for _ in range(2):
                recorder = Recorder()
                connection.begin(recorder, b"GET / HTTP/1.1\r\n\r\n", is_head_request=False)
                await recorder.over()
                assert (recorder.body, recorder.ends) == (b"ok", 1)
                assert pool.take() is connection
    lines = proxy.heads[0].split(b"\r\n")
    assert lines[:2] == [b"CONNECT localhost:%d HTTP/1.1" % port, b"Host: localhost:%d" % port]
    sent = [line for line in lines if line.startswith(b"Proxy-Authorization")]
    pair = base64.b64encode(b"me:p@ss")
    assert sent == ([b"Proxy-Authorization: Basic " + pair] if credentials else [])
    assert len(proxy.heads) == 1


@pytest.mark.anyio
async def test_an_address_of_ipv6_is_put_in_brackets(tmp_path: Path) -> None:
    proxy = TunnelProxy(answer=b"HTTP/1.1 403 Forbidden\r\n\r\n")
    async with serving(proxy.script) as proxy_port:
        pool = pool_of(upstream_at("https://[::1]:8443", proxy=f"http://127.0.0.1:{proxy_port}"), JumpingClock())
        with pytest.raises(UpstreamUnreachable):
            await pool.connect()
    assert proxy.heads[0].startswith(b"CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "answered 407",
        ),
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "answered 403"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "answered 502"),
        (b"nonsense\r\n\r\n", "answered nothing"),
        (b"\xff\xfe \xff\r\n\r\n", "answered"),
        (b"", "the proxy closed the connection"),
        (b"HTTP/1.1 200", "the proxy closed the connection"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 20_000, "too long"),
    ],
)
async def test_a_proxy_that_makes_no_tunnel_is_in_the_log_with_its_answer(
    answer: bytes, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(TunnelProxy(answer=answer).script) as proxy_port:
        pool = pool_of(upstream_at("https://example.com", proxy=f"http://127.0.0.1:{proxy_port}"), JumpingClock())
        with pytest.raises(UpstreamUnreachable) as refused:
            await pool.connect()
    assert words in f"{caplog.text} {refused.value}"
    assert "example.com" not in str(refused.value) and str(proxy_port) not in str(refused.value)
    assert repr(pool) == "<Pool sweden [0 active, 0 idle, 0 opening]>"


@pytest.mark.anyio
async def test_the_log_names_the_fix(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(TunnelProxy(answer=b"HTTP/1.1 403 No\r\n\r\n").script) as proxy_port:
        pool = pool_of(upstream_at("https://example.com", proxy=f"http://127.0.0.1:{proxy_port}"), JumpingClock())
        with pytest.raises(UpstreamUnreachable, match="the proxy on the way gives no tunnel"):
            await pool.connect()
    assert "allow the upstream's host on the proxy, or name it in NO_PROXY" in caplog.text


@pytest.mark.anyio
async def test_the_certificate_is_checked_inside_the_tunnel(caplog: pytest.LogCaptureFixture) -> None:
    tls, _ = tls_pair("localhost")
    proxy = TunnelProxy()
    async with serving(answering(OK), tls) as port, serving(proxy.script) as proxy_port:
        settings = upstream_at(f"https://localhost:{port}", proxy=f"127.0.0.1:{proxy_port}")
        pool = pool_of(settings, JumpingClock())
        with pytest.raises(UpstreamUnreachable, match="TLS handshake"):
            await pool.connect()
    assert "set ca_bundle" in caplog.text


@pytest.mark.anyio
async def test_a_proxy_where_nobody_listens_is_told() -> None:
    pool = pool_of(upstream_at("https://example.com", proxy=f"http://127.0.0.1:{closed_port()}"), JumpingClock())
    with pytest.raises(UpstreamUnreachable, match="cannot be reached"):
        await pool.connect()


@pytest.mark.anyio
async def test_a_proxy_that_says_nothing_is_given_up_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        settings = upstream_at("https://example.com", proxy=f"http://127.0.0.1:{port}", connect_timeout=0.05)
        with pytest.raises(UpstreamUnreachable, match="within 0.05 s"):
            await pool_of(settings, JumpingClock()).connect()


@pytest.mark.anyio
@pytest.mark.parametrize("status", [b"200 Connection established", b"201 Created", b"204 No Content"])
async def test_any_2xx_of_the_proxy_is_a_tunnel(tmp_path: Path, status: bytes) -> None:
    tls, authority = tls_pair("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    proxy = TunnelProxy(opens_with=b"HTTP/1.1 %b\r\n\r\n" % status)
    async with serving(answering(OK), tls) as port, serving(proxy.script) as proxy_port:
        settings = upstream_at(
            f"https://localhost:{port}", ca_bundle=str(tmp_path / "ca.pem"), proxy=f"http://127.0.0.1:{proxy_port}"
        )
        async with closing(pool_of(settings, JumpingClock())) as pool:
            recorder = Recorder()
            (await pool.connect()).begin(recorder, b"GET / HTTP/1.1\r\n\r\n", is_head_request=False)
            await recorder.over()
    assert (recorder.body, len(proxy.heads)) == (b"ok", 1)


@pytest.mark.anyio
async def test_no_proxy_may_name_a_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls, authority = tls_pair("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    proxy = TunnelProxy()
    async with serving(answering(OK), tls) as port, serving(proxy.script) as proxy_port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy_port}")
        for excepted, tunnels in ((f"localhost:{port}", 0), ("localhost:1", 1)):
            monkeypatch.setenv("no_proxy", excepted)
            settings = upstream_at(f"https://localhost:{port}", ca_bundle=str(tmp_path / "ca.pem"), proxy=None)
            async with closing(pool_of(settings, JumpingClock())) as pool:
                await pool.connect()
            assert len(proxy.heads) == tunnels


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names a proxy."""
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    return monkeypatch


def test_the_environments_proxy_is_used_for_tls(environment: pytest.MonkeyPatch) -> None:
    assert AZURE.proxy(None) == Proxy("proxy.example", 3128)
    assert Endpoint.parse("http://example.com").proxy(None) is None


@pytest.mark.parametrize("excepted", ["example.openai.azure.com", ".azure.com", "azure.com, internal", "*"])
def test_hosts_in_no_proxy_are_reached_directly(environment: pytest.MonkeyPatch, excepted: str) -> None:
    environment.setenv("NO_PROXY", excepted)
    assert AZURE.proxy(None) is None


def test_other_hosts_in_no_proxy_change_nothing(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NO_PROXY", "other.example,localhost")
    assert AZURE.proxy(None) == Proxy("proxy.example", 3128)


def test_an_upstreams_own_setting_goes_before_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NO_PROXY", "*")
    assert AZURE.proxy("http://mine:1") == Proxy("mine", 1)
    assert AZURE.proxy("") is None


def test_without_any_setting_there_is_no_proxy(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("HTTPS_PROXY")
    assert AZURE.proxy(None) is None
