"""Where a hub is, and what is missing."""

from typing import Any

import pytest

from tokenweir.delivery.sources import IntakeSettings, check_intake, open_source
from tokenweir.delivery.sources.event_hubs import hub_address, storage_connection_string
from tokenweir.errors import ConfigError

HUB = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=s3cret="


def test_a_hub_by_its_connection_string() -> None:
    address = hub_address(IntakeSettings(connection_string_env="HUB", hub="llm"), {"HUB": HUB})
    assert address.connection_string == HUB
    assert address.place() == ("ns.servicebus.windows.net", "llm")
    assert "s3cret" not in f"{address!r}"


def test_a_hub_that_this_machine_signs_in_to() -> None:
    given = IntakeSettings(namespace="ns.servicebus.windows.net", hub="llm", managed_identity=True, client_id="c")
    address = hub_address(given, {})
    assert (address.is_identity, address.client_id) == (True, "c")


def test_checkpoints_are_in_an_account_that_is_signed_in_to_or_has_a_key() -> None:
    by_identity = IntakeSettings(checkpoints_account="https://a.blob.core.windows.net")
    assert storage_connection_string(by_identity, {}) is None
    by_key = IntakeSettings(checkpoints_connection_string_env="STORE")
    assert storage_connection_string(by_key, {"STORE": "AccountKey=…"}) == "AccountKey=…"


@pytest.mark.parametrize(
    ("given", "environ", "said"),
    [
        ({}, {}, "either `connection_string_env` is needed, or `namespace`"),
        ({"connection_string_env": "HUB", "namespace": "ns"}, {"HUB": HUB}, "either `connection_string_env` is needed"),
        ({"namespace": "ns", "hub": "llm"}, {}, "`managed_identity` must be true"),
        ({"connection_string_env": "HUB"}, {}, "names the environment variable HUB, which is not set"),
        ({"connection_string_env": "HUB"}, {"HUB": HUB}, "no hub of ns.servicebus.windows.net is named"),
        ({"connection_string_env": "HUB", "hub": "llm"}, {"HUB": "s3cret"}, "has no Endpoint"),
        (
            {"connection_string_env": "HUB", "hub": "llm", "checkpoints_container": "c"},
            {"HUB": HUB},
            "`checkpoints_container` needs either `checkpoints_account` or",
        ),
        (
            {
                "connection_string_env": "HUB",
                "hub": "llm",
                "checkpoints_container": "c",
                "checkpoints_connection_string_env": "STORE",
            },
            {"HUB": HUB},
            "names the environment variable STORE, which is not set",
        ),
    ],
)
def test_what_is_missing_is_named(given: dict[str, Any], environ: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_intake(IntakeSettings(**given), environ)
    assert said in str(refused.value)
    assert "s3cret" not in str(refused.value)
    with pytest.raises(ConfigError, match=r"^\[intake\] "):
        open_source(IntakeSettings(**given), environ, lambda _: None)
