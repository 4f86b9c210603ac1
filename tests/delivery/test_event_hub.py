"""What an address tells a person, and what it keeps to itself. (Clients are tried in tests/sinks and tests/intake.)"""

import pytest

from tokenweir.delivery.event_hub import HubAddress
from tokenweir.errors import ConfigError

STRING = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey=c2VjcmV0"


@pytest.mark.parametrize(
    ("address", "place"),
    [
        (HubAddress(connection_string=STRING, hub="llm"), ("ns.servicebus.windows.net", "llm")),
        (HubAddress(connection_string=STRING + ";EntityPath=llm"), ("ns.servicebus.windows.net", "llm")),
        (HubAddress(connection_string=STRING + ";EntityPath=other", hub="llm"), ("ns.servicebus.windows.net", "llm")),
        (HubAddress(connection_string="endpoint=sb://ns:1/; entitypath = llm"), ("ns:1", "llm")),
        (HubAddress(namespace="ns.servicebus.windows.net", hub="llm"), ("ns.servicebus.windows.net", "llm")),
        (HubAddress(), ("?", "?")),
    ],
)
def test_namespace_and_hub_are_found_wherever_they_stand(address: HubAddress, place: tuple[str, str]) -> None:
    assert address.place() == place


def test_a_key_is_never_shown() -> None:
    address = HubAddress(connection_string=STRING, hub="llm")
    assert repr(address) == "<HubAddress the hub 'llm' of ns.servicebus.windows.net>"
    assert "c2VjcmV0" not in f"{address} {address!r} {[address]}"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (HubAddress(connection_string="", hub="llm"), "has no Endpoint; copy it whole from the portal"),
        (HubAddress(hub="llm"), "neither a connection string nor a namespace"),
        (HubAddress(connection_string=STRING), "no hub of ns.servicebus.windows.net is named: set hub"),
        (HubAddress(namespace="ns"), "no hub of ns is named"),
        (
            HubAddress(connection_string=STRING + ";EntityPath=other", hub="llm"),
            "is for the hub 'other' .its EntityPath",
        ),
    ],
)
def test_what_is_missing_is_told(address: HubAddress, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        address.check()
