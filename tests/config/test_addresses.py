"""Addresses are read as people write them, and only loopback counts as closed."""

import pytest

from tokenweir.config import is_loopback, parse_address
from tokenweir.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("[::1]:8080", "::1", 8080),
        ("localhost:0", "localhost", 0),
        (" 0.0.0.0:65535 ", "0.0.0.0", 65535),
        ("gateway.internal:80", "gateway.internal", 80),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize("text", ["", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "a:b", "::1:8080", "h:65536", "h:-1"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not an address; write it like 127\.0\.0\.1:8080"):
        parse_address(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"])
def test_loopback_is_closed(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "gateway", "localhost.example.com"])
def test_everything_else_is_open(host: str) -> None:
    assert not is_loopback(host)
