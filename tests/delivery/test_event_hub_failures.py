"""The SDK's errors as it raises them, in words. Whole sends and receipts are in tests/sinks and tests/intake."""

import socket
import ssl
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.eventhub.exceptions import AuthenticationError, ConnectError, EventDataSendError, EventHubError

from tokenweir.delivery.event_hub import HubAddress
from tokenweir.delivery.event_hub_failures import HubFailure, Right, explain

KEY = HubAddress(connection_string="Endpoint=sb://ns/;SharedAccessKeyName=n;SharedAccessKey=c2VjcmV0", hub="llm")
IDENTITY = HubAddress(namespace="ns", hub="llm")


class Cause(Exception):
    """As the SDK carries a condition of AMQP into its own errors."""

    def __init__(self, condition: str) -> None:
        super().__init__(condition)
        self.condition = condition.encode()


def sdk(kind: type[EventHubError], condition: str) -> EventHubError:
    cause: Any = Cause(condition)
    return kind("The messaging entity 'sb://ns/llm' c2VjcmV0", cause)


def raised_from(error: Exception, *causes: Exception) -> Exception:
    for outer, inner in zip((error, *causes), causes, strict=False):
        outer.__context__ = inner
    return error


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        ("com.microsoft:server-busy", "throttled"),
        ("amqp:resource-limit-exceeded", "throttled"),
        ("amqp:not-found", "denied"),
        ("amqp:unauthorized-access", "denied"),
        ("com.microsoft:entity-disabled", "denied"),
        ("amqp:link:message-size-exceeded", "unfit"),
        ("com.microsoft:argument-error", "unfit"),
        ("amqp:link:detach-forced", "unavailable"),
        ("com.microsoft:timeout", "unavailable"),
    ],
)
def test_a_condition_decides_and_no_text_of_the_sdk_is_passed_on(condition: str, kind: str) -> None:
    for address in (KEY, IDENTITY):
        for right in ("Send", "Listen"):
            found = explain(sdk(EventDataSendError, condition), address, "Send" if right == "Send" else "Listen")
            assert found.kind == kind
            assert "c2VjcmV0" not in found.text and "messaging entity" not in found.text


@pytest.mark.parametrize(
    ("error", "address", "right", "trouble"),
    [
        (
            AuthenticationError("CBS Token authentication failed.\nStatus code: 404\nDescription: not found"),
            KEY,
            "Send",
            HubFailure("denied", "there is no hub 'llm' in ns; check its name (hub)"),
        ),
        (
            AuthenticationError("CBS Token authentication failed.\nStatus code: 401"),
            IDENTITY,
            "Send",
            HubFailure("denied", "ns refused the managed identity's token; is it of the namespace's tenant?"),
        ),
        (
            sdk(ConnectError, "amqp:unauthorized-access"),
            IDENTITY,
            "Listen",
            HubFailure(
                "denied",
                "the managed identity may not use the hub 'llm' of ns; "
                "it needs the role Azure Event Hubs Data Receiver",
            ),
        ),
        (
            AuthenticationError("Authorization timeout."),  # the service was silent, nobody was refused
            KEY,
            "Send",
            HubFailure("unavailable", "the hub 'llm' of ns is not available (AuthenticationError)"),
        ),
        (TimeoutError(), KEY, "Send", HubFailure("unavailable", "the hub 'llm' of ns did not answer in time")),
        (
            raised_from(EventHubError("x"), ClientAuthenticationError("c2VjcmV0")),
            IDENTITY,
            "Send",
            HubFailure(
                "denied",
                "no token could be had from a managed identity; does this machine have one, and is client_id its own? "
                "See `tokenweir doctor`",
            ),
        ),
        (
            raised_from(sdk(ConnectError, "amqp:socket-error"), OSError(), socket.gaierror(-2, "unknown")),
            KEY,
            "Send",
            HubFailure("unavailable", "the name ns cannot be resolved; check it, and this machine's DNS"),
        ),
        (
            raised_from(sdk(ConnectError, "amqp:socket-error"), ssl.SSLError("wrong version")),
            KEY,
            "Send",
            HubFailure(
                "unavailable",
                "no connection to the hub 'llm' of ns (socket-error); is the namespace up, and may this machine reach "
                "its port 5671?",
            ),
        ),
        (
            RuntimeError("c2VjcmV0"),
            KEY,
            "Send",
            HubFailure("unavailable", "the hub 'llm' of ns is not available (RuntimeError)"),
        ),
    ],
)
def test_each_trouble_is_told_with_its_fix(
    error: Exception, address: HubAddress, right: Right, trouble: HubFailure
) -> None:
    assert explain(error, address, right) == trouble


def test_errors_that_were_raised_while_handling_each_other_are_followed_once() -> None:
    first, second = EventHubError("a"), EventHubError("b")
    first.__context__, second.__context__ = second, first
    assert explain(first, KEY, "Send").kind == "unavailable"
