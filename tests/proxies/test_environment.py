"""Which proxy the environment names, and for whom it does not count."""

import urllib.request

import pytest
from hypothesis import given, strategies as st

from tokenweir.proxies import is_excepted, proxy_url

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("no_proxy", "host", "port"),
    [
        ("*", "anything.example", 443),
        ("a.example, *", "anything.example", 443),
        ("localhost", "localhost", 4433),
        ("localhost:4433", "localhost", 4433),
        ("LOCALHOST:4433", "localhost", 4433),
        ("other,localhost:4433", "localhost", 4433),
        ("other localhost:4433", "LocalHost", 4433),
        ("example.com", "west.example.com", 443),
        (".example.com", "west.example.com", 443),
        (".example.com", "example.com", 443),
        ("*.example.com", "west.example.com", 443),
        (".example.com:443", "west.example.com", 443),
        ("*.example.com:443", "west.example.com", 443),
        ("example.com.", "example.com", 443),
        ("example.com", "example.com.", 443),
        ("127.0.0.1:8443", "127.0.0.1", 8443),
        ("::1", "::1", 443),
        ("0:0::1", "::1", 443),
        ("[::1]", "::1", 443),
        ("[::1]:8443", "::1", 8443),
        ("10.0.0.0/8", "10.1.2.3", 443),
        ("10.1.2.3/8", "10.9.9.9", 443),
        ("fd00::/8", "fd00::1", 443),
    ],
)
def test_a_host_in_no_proxy_is_reached_directly(no_proxy: str, host: str, port: int) -> None:
    assert is_excepted(host, port, no_proxy)
    variables = {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}
    assert proxy_url(host, port, variables) is None


@pytest.mark.parametrize(
    ("no_proxy", "host", "port"),
    [
        ("", "localhost", 443),
        (" , ,", "localhost", 443),
        (".", "localhost", 443),
        (":443", "localhost", 443),
        ("localhost:4434", "localhost", 4433),
        ("localhost:", "localhost", 443),
        ("localhost:https", "localhost", 443),
        (".example.com:444", "west.example.com", 443),
        ("example.com", "myexample.com", 443),
        ("example.com", "example.com.evil.test", 443),
        ("[::1]:8443", "::1", 443),
        ("::1", "::2", 443),
        ("0.1", "127.0.0.1", 443),
        ("10.0.0.0/8", "11.1.2.3", 443),
        ("10.0.0.0/99", "10.1.2.3", 443),
        ("10.0.0.0/8", "ten.example", 443),
        ("1" * 5000 + ":1", "localhost", 443),
    ],
)
def test_any_other_host_is_not(no_proxy: str, host: str, port: int) -> None:
    assert not is_excepted(host, port, no_proxy)
    assert proxy_url(host, port, {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}) == PROXY


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, None),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "http://a:1"),
        ({"HTTPS_PROXY": "http://b:1", "ALL_PROXY": "http://c:1"}, "http://b:1"),
        ({"ALL_PROXY": "http://c:1"}, "http://c:1"),
        ({"all_proxy": "http://d:1", "ALL_PROXY": "http://c:1"}, "http://d:1"),
        ({"HTTP_PROXY": "http://e:1"}, None),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b:1"}, None),
        ({"HTTPS_PROXY": "http://b:1", "no_proxy": "", "NO_PROXY": "*"}, "http://b:1"),
        ({"HTTPS_PROXY": " http://b:1 "}, "http://b:1"),
    ],
)
def test_lower_case_goes_before_upper_and_https_before_all(variables: dict[str, str], found: str | None) -> None:
    assert proxy_url("example.com", 443, variables) == found


_NAMES = st.sampled_from(["example.com", ".example.com", "west.example.com", "localhost", "localhost:443", "com", "*"])


@given(st.lists(_NAMES, max_size=4), st.sampled_from(["example.com", "west.example.com", "localhost", "example.org"]))
def test_it_says_of_names_what_python_says(entries: list[str], host: str) -> None:
    no_proxy = ",".join(entries)
    if no_proxy != "*" and "*" in entries:
        return  # Python knows a lone star only
    expected = urllib.request.proxy_bypass_environment(f"{host}:443", {"no": no_proxy})  # type: ignore[attr-defined]
    assert is_excepted(host, 443, no_proxy) == bool(expected)


@given(st.text(), st.text(max_size=20))
def test_no_text_of_no_proxy_raises(no_proxy: str, host: str) -> None:
    is_excepted(host, 443, no_proxy)
