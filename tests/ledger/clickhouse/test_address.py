"""What an address means, and addresses that mean nothing."""

import pytest

from tokenweir.errors import ConfigError
from tokenweir.ledger.clickhouse.address import ClickHouseAddress as Address, understood


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("clickhouse://host/db", Address("clickhouse", "host", 8443, "default", "", "db")),
        ("clickhouse://ada@host:9443/db", Address("clickhouse", "host", 9443, "ada", "", "db")),
        ("clickhouse+http://ada@host/db", Address("clickhouse+http", "host", 8123, "ada", "", "db")),
        ("clickhouse://a%40b:p%2Fq%3A@host/d%C3%A4", Address("clickhouse", "host", 8443, "a@b", "p/q:", "dä")),
        ("clickhouse://[::1]:1/db", Address("clickhouse", "::1", 1, "default", "", "db")),
        ("clickhouse://host", Address("clickhouse", "host", 8443, "default", "", "default")),
        ("clickhouse://host/db?ca_cert=/a/b.pem", Address("clickhouse", "host", 8443, "default", "", "db", "/a/b.pem")),
    ],
)
def test_an_address_is_taken_apart(url: str, address: Address) -> None:
    assert understood(url, {}) == address


def test_the_password_may_be_in_the_environment_and_the_addresss_own_wins() -> None:
    environ = {"CLICKHOUSE_PASSWORD": "sesame"}
    assert understood("clickhouse://ada@host/db", environ).password == "sesame"
    assert understood("clickhouse://ada:mine@host/db", environ).password == "mine"
    assert understood("clickhouse://ada:@host/db", environ).password == ""


def test_only_plain_http_by_name_is_not_encrypted() -> None:
    assert understood("clickhouse://host:8123/db", {}).is_secure
    assert not understood("clickhouse+http://host:8443/db", {}).is_secure


def test_what_is_shown_of_an_address_holds_no_password() -> None:
    address = understood("clickhouse://ada:hunter2@host/db?ca_cert=x", {})
    assert address.place == "clickhouse://host:8443/db"
    assert "hunter2" not in repr(address)
    assert understood("clickhouse+http://[::1]/db", {}).place == "clickhouse+http://[::1]:8123/db"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("clickhouse://", "write it like clickhouse://user@host"),
        ("clickhouse:///db", "write it like"),
        ("clickhouse://host:port/db", "write it like"),
        ("clickhouse://host:99999/db", "write it like"),
        ("clickhouse://host/db/table", "write it like"),
        ("clickhouse://host/db#x", "write it like"),
        ("clickhouse://[host/db", "write it like"),
        ("clickhouse://host/db?ca_cert", "write it like"),
        ("clickhouse://host/db?ca_crt=x", "did you mean 'ca_cert'"),
        ("clickhouse+http://host/db?ca_cert=x", "plain HTTP"),
    ],
)
def test_what_cannot_be_understood_is_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        understood(url, {})
