"""An upstream's address is taken apart once, and what is none is told."""

import pytest

from tokenweir.errors import ConfigError
from tokenweir.upstream import Endpoint


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://a.example", Endpoint("a.example", 443, True, b"", b"a.example")),
        (" https://a.example/ ", Endpoint("a.example", 443, True, b"", b"a.example")),
        ("http://a.example", Endpoint("a.example", 80, False, b"", b"a.example")),
        ("https://A.Example:443/base/", Endpoint("a.example", 443, True, b"/base", b"a.example")),
        ("http://a.example:443", Endpoint("a.example", 443, False, b"", b"a.example:443")),
        ("http://127.0.0.1:8000/a/b", Endpoint("127.0.0.1", 8000, False, b"/a/b", b"127.0.0.1:8000")),
        ("https://[::1]:8443", Endpoint("::1", 8443, True, b"", b"[::1]:8443")),
        ("https://bücher.example", Endpoint("bücher.example", 443, True, b"", b"xn--bcher-kva.example")),
    ],
)
def test_an_address_is_taken_apart(url: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(url) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "ftp://a.example",
        "https://",
        "https:///path",
        "https://a.example:99999",
        "https://a.example:x",
        "https://a..example",
        "https://[::1",
        "https://a.example/é",
        "https://a.example/a b",
        "https://a b.example",
        "https://a.example?key=1",
        "https://a.example#here",
        "https://me:secret@a.example",
    ],
)
def test_what_is_no_address_is_a_mistake_in_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match="endpoint"):
        Endpoint.parse(url)
