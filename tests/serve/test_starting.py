"""Where processes listen: one socket, or as many as there are relays."""

import socket
import sys

import pytest

from tokenweir.errors import ConfigError
from tokenweir.serve.starting import listen_together

# Of a fair division of so many, less than a quarter on one side is not seen in the life of a machine.
CLIENTS = 200


def waiting(listener: socket.socket) -> int:
    """How many clients it has been given."""
    count = 0
    while True:
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            return count
        client.close()
        count += 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not divide evenly")
def test_relays_get_even_shares_of_new_connections() -> None:
    listeners = listen_together("127.0.0.1:0", "[server] data", 2)
    assert len({listener.getsockname() for listener in listeners}) == 1
    clients = [socket.create_connection(listeners[0].getsockname()) for _ in range(CLIENTS)]
    shares = [waiting(listener) for listener in listeners]
    for one in [*clients, *listeners]:
        one.close()
    assert sum(shares) == CLIENTS and min(shares) > CLIENTS / 4


@pytest.mark.parametrize("relays", [1, 2])
@pytest.mark.parametrize("shares", [False, True])
def test_a_port_that_another_gateway_has_is_not_shared_with_it(relays: int, shares: bool) -> None:
    others = listen_together("127.0.0.1:0", "[server] data", 2 if shares else 1)
    with pytest.raises(ConfigError, match="Another Tokenweir may be running"):
        listen_together(f"127.0.0.1:{others[0].getsockname()[1]}", "[server] data", relays)
    for one in others:
        one.close()
