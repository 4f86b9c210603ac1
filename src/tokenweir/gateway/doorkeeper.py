"""How many clients may be connected, so that strangers cannot take the places and descriptors of everybody else.

A connection too many is answered 503 at its first request and closes. One that would reach into the descriptors kept
for upstreams and the journal is closed at once. While places are scarce, idle connections are kept for a moment only.
"""

import ipaddress
import resource
from collections import Counter

from ..errors import TooManyConnections
from .settings import ServerSettings

__all__ = ["Doorkeeper"]

# For the journal's files, the keys file, name look-ups, and upstreams beyond one for each client.
_LEAST_RESERVE = 32
_MOST_RESERVE = 1024
# Long enough for a client program that sends one call after the other.
_SCARCE_KEEP_ALIVE = 2.0


class Doorkeeper:
    """Counts the clients of one process."""

    def __init__(self, settings: ServerSettings) -> None:
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if descriptors == resource.RLIM_INFINITY:
            descriptors = 1 << 20
        reserve = min(max(_LEAST_RESERVE, descriptors // 16), _MOST_RESERVE, descriptors // 2)
        self._first_reserved = descriptors - reserve
        # A call takes two descriptors: one for its client, and one for its upstream.
        self.most = settings.max_clients or max(1, self._first_reserved // 2)
        self.most_each = settings.max_clients_per_address or max(1, self.most * 3 // 4)
        self._keep_alive = settings.keep_alive
        self.keep_alive: float = settings.keep_alive
        """How long an idle connection is kept at present."""
        self._places: Counter[str] = Counter()
        self._inside = 0
        self._was_full = False
        self.refused = 0
        """Connections that were one too many, since the start."""
        self.closed = 0
        """Connections closed because descriptors ran out, since the start."""

    def __repr__(self) -> str:
        return f"<Doorkeeper {self._inside} of {self.most} clients, {self.refused} refused, {self.closed} closed>"

    def has_room_for(self, fd: int) -> bool:
        """Whether a new connection's descriptor leaves the reserve alone: the kernel gives the lowest that is free."""
        if fd < self._first_reserved:
            return True
        self.closed += 1
        self._was_full = True
        return False

    def enter(self, address: str | None) -> TooManyConnections | None:
        """Counts a client. Returns what its first request is answered with, if it is one too many."""
        place = _place_of(address)
        self._inside += 1
        self._places[place] += 1
        if self._inside > self.most:
            what, setting = "connections are open", "max_clients"
        elif self._places[place] > self.most_each:
            what, setting = "connections of this address are open", "max_clients_per_address"
        else:
            return None
        self.refused += 1
        return TooManyConnections(f"Too many {what} (server.{setting}). Use fewer connections, or try again shortly.")

    def leave(self, address: str | None) -> None:
        place = _place_of(address)
        self._inside -= 1
        self._places[place] -= 1
        if not self._places[place]:
            del self._places[place]

    def look(self) -> None:
        """Called by the sweeper: whether places are scarce, until it looks again."""
        is_scarce = self._was_full or self._inside > self.most * 3 // 4
        self._was_full = False
        self.keep_alive = min(self._keep_alive, _SCARCE_KEEP_ALIVE) if is_scarce else self._keep_alive


def _place_of(address: str | None) -> str:
    """An IPv6 client has a whole network of 64 bits to call from."""
    if address is None or ":" not in address:
        return address or ""
    parsed = ipaddress.IPv6Address(address.partition("%")[0])
    return str(parsed.ipv4_mapped or int(parsed) >> 64)
