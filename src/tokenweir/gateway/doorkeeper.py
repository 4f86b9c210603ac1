"""How many clients may be connected, so that strangers cannot take the places and descriptors of everybody else.

Where there is no place, whoever has been silent for longest gives up theirs: a client that has something to say has
said it long before. Where nobody is silent, a connection too many is answered 503 at its first request and closes, and
one that would reach into the descriptors kept for upstreams and the journal is closed at once. While places are scarce,
idle connections are kept for a moment only.
"""

import ipaddress
import resource
from collections import Counter
from itertools import islice
from typing import Protocol

from ..errors import TooManyConnections
from .settings import ServerSettings

__all__ = ["Doorkeeper"]

# For the journal's files, the keys file, name look-ups, and upstreams beyond one for each client.
_LEAST_RESERVE = 32
_MOST_RESERVE = 1024
# Of the silent, to find one of a certain address among them.
_LOOKED_AT = 100
# Long enough for a client program that sends one call after the other.
_SCARCE_KEEP_ALIVE = 2.0


class Guest(Protocol):
    @property
    def address(self) -> str | None: ...

    def leave(self) -> None:
        """Closes at once."""
        ...


class Doorkeeper:
    """Counts the clients of one process."""

    def __init__(self, settings: ServerSettings) -> None:
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if descriptors == resource.RLIM_INFINITY:
            descriptors = 1 << 20
        reserve = min(max(_LEAST_RESERVE, descriptors // 16), _MOST_RESERVE, descriptors // 2)
        self._first_reserved = descriptors - reserve
        # One that leaves gives its descriptor back in the loop's next turn: so many may wait for it meanwhile.
        self._first_untouched = descriptors - reserve // 2
        # A call takes two descriptors: one for its client, and one for its upstream.
        self.most = settings.max_clients or max(1, self._first_reserved // 2)
        self.most_each = settings.max_clients_per_address or max(1, self.most * 3 // 4)
        self._keep_alive = settings.keep_alive
        self.keep_alive: float = settings.keep_alive
        """How long an idle connection is kept at present."""
        self._places: Counter[str] = Counter()
        self._inside = 0
        self._silent: dict[Guest, None] = {}
        """Those that have not sent a whole head yet, in the order in which they came."""
        self._was_full = False
        self.refused = 0
        """Connections that were one too many, since the start."""
        self.closed = 0
        """Connections closed because places or descriptors ran out, since the start."""

    def __repr__(self) -> str:
        return f"<Doorkeeper {self._inside} of {self.most} clients, {self.refused} refused, {self.closed} closed>"

    def has_room_for(self, fd: int) -> bool:
        """Whether a new connection's descriptor leaves the reserve alone (the kernel gives the lowest that is free), or
        a silent client has just been made to leave for it."""
        if fd < self._first_reserved or (fd < self._first_untouched and self._make_room()):
            return True
        self._was_full = True
        self.closed += 1
        return False

    def enter(self, guest: Guest) -> TooManyConnections | None:
        """Counts a client. Returns what its first request is answered with, if it is one too many."""
        place = _place_of(guest.address)
        self._inside += 1
        self._places[place] += 1
        refusal = None
        if self._places[place] > self.most_each and not self._make_room(place):
            refusal = _one_too_many("connections of this address are open", "max_clients_per_address")
        elif self._inside > self.most and not self._make_room():
            refusal = _one_too_many("connections are open", "max_clients")
        self._silent[guest] = None
        self.refused += refusal is not None
        return refusal

    def heard(self, guest: Guest) -> None:
        """Its first head has come."""
        self._silent.pop(guest, None)

    def leave(self, guest: Guest) -> None:
        place = _place_of(guest.address)
        self._silent.pop(guest, None)
        self._inside -= 1
        self._places[place] -= 1
        if not self._places[place]:
            del self._places[place]

    def _make_room(self, place: str | None = None) -> bool:
        """Lets the one go that has been silent for longest, of one place or of all. Whether one was found."""
        self._was_full = True
        for guest in islice(self._silent, _LOOKED_AT):
            if place is None or _place_of(guest.address) == place:
                del self._silent[guest]
                self.closed += 1
                guest.leave()
                return True
        return False

    def look(self) -> None:
        """Called by the sweeper: whether places are scarce, until it looks again."""
        is_scarce = self._was_full or self._inside > self.most * 3 // 4
        self._was_full = False
        self.keep_alive = min(self._keep_alive, _SCARCE_KEEP_ALIVE) if is_scarce else self._keep_alive


def _one_too_many(what: str, setting: str) -> TooManyConnections:
    return TooManyConnections(f"Too many {what} (server.{setting}). Use fewer connections, or try again shortly.")


def _place_of(address: str | None) -> str:
    """An IPv6 client has a whole network of 64 bits to call from."""
    if address is None or ":" not in address:
        return address or ""
    parsed = ipaddress.IPv6Address(address.partition("%")[0])
    return str(parsed.ipv4_mapped or int(parsed) >> 64)
