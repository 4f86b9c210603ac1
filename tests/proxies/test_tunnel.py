"""What is asked of a proxy, and which answers are a tunnel."""

import base64
import socket
import threading

import pytest

from tokenweir.errors import ConfigError
from tokenweir.proxies import Proxy, TunnelAnswer, TunnelRefused, connect_request, open_tunnel

PROXY = Proxy.parse("http://proxy.example:3128")


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://proxy.example:3128", "proxy.example", 3128),
        ("http://proxy.example:3128/", "proxy.example", 3128),
        ("proxy.example:3128", "proxy.example", 3128),
        (" HTTP://proxy.example:3128 ", "proxy.example", 3128),
        ("http://[::1]:3128", "::1", 3128),
    ],
)
def test_a_proxy_is_a_url_or_host_and_port(url: str, host: str, port: int) -> None:
    proxy = Proxy.parse(url)
    assert (proxy.host, proxy.port, proxy.authorization) == (host, port, None)


@pytest.mark.parametrize(
    ("userinfo", "pair"),
    [
        ("me:p%40ss", "me:p@ss"),
        ("me%40corp:p%3Aq%2F%25", "me@corp:p:q/%"),
        ("d%C3%B6rte:p", "dörte:p"),
        ("me", "me:"),
        (":token", ":token"),
    ],
)
def test_user_and_password_are_decoded_and_not_shown(userinfo: str, pair: str) -> None:
    proxy = Proxy.parse(f"http://{userinfo}@proxy.example:3128")
    assert proxy.authorization == "Basic " + base64.b64encode(pair.encode()).decode()
    assert (str(proxy), repr(proxy)) == ("proxy.example:3128", "<Proxy proxy.example:3128>")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://u:sk-secret@proxy.example", "https:// is not supported"),
        ("socks5h://u:sk-secret@proxy.example:1080", "socks5h:// is not supported"),
        ("http://u:sk-secret@proxy.example:port", "cannot be read"),
        ("http://u:sk-secret@", "names no host"),
        ("http://[::1", "cannot be read"),
    ],
)
def test_what_is_no_proxy_is_said_without_its_secret(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        Proxy.parse(url)
    assert "http://proxy.example:3128" in str(raised.value)
    assert "sk-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "target"),
    [("example.com", b"example.com:443"), ("::1", b"[::1]:443"), ("bücher.example", b"xn--bcher-kva.example:443")],
)
def test_the_request_names_host_and_port_twice(host: str, target: bytes) -> None:
    assert connect_request(PROXY, host, 443) == b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 299 Fine\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_any_2xx_is_a_tunnel_however_it_is_cut(answer: bytes, size: int) -> None:
    reader = TunnelAnswer(PROXY)
    fed = [reader.feed(answer[at : at + size]) for at in range(0, len(answer), size)]
    assert fed == [False] * (len(fed) - 1) + [True]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy.example:3128 answered 407"),
        (b"HTTP/1.1 302 Found\r\n\r\n", "answered 302"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "answered nothing that is HTTP"),
        (b"HTTP/2 200\r\n\r\n", "answered nothing that is HTTP"),
        (b"SSH-2.0-x 200 \r\n\r\n", "answered nothing that is HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 20_000, "too long"),
    ],
)
def test_nothing_else_is_one(answer: bytes, words: str) -> None:
    with pytest.raises(TunnelRefused, match=words):
        TunnelAnswer(PROXY).feed(answer)


@pytest.mark.parametrize(
    ("answer", "refused"),
    [(b"HTTP/1.1 201 Created\r\n\r\n", None), (b"HTTP/1.1 403 No\r\n\r\n", "403"), (b"HTTP/1.1 2", "closed")],
)
def test_a_blocking_socket_gets_its_tunnel(answer: bytes, refused: str | None) -> None:
    here, there = socket.socketpair()
    asked: list[bytes] = []

    def proxy() -> None:
        asked.append(there.recv(65536))
        there.sendall(answer)
        there.close()

    thread = threading.Thread(target=proxy)
    thread.start()
    with here:
        if refused is None:
            open_tunnel(here, PROXY, "example.com", 443)
        else:
            with pytest.raises(TunnelRefused, match=refused):
                open_tunnel(here, PROXY, "example.com", 443)
    thread.join()
    assert asked == [connect_request(PROXY, "example.com", 443)]
