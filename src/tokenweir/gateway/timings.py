"""When what happened to a call."""

__all__ = ["Timings"]


class Timings:
    """Moments on the monotonic clock, seconds; 0.0 where a moment never came."""

    since: float = 0.0
    """When the call last came into the gateway's own hands, not waiting for client, upstream or network."""
    own: float = 0.0
    """Seconds, not a moment: how long it was there before it was sent, all attempts together."""
    whole: float = 0.0
    """When the request's body had come."""
    sent: float = 0.0
    first_byte: float = 0.0
    first_token: float = 0.0
    ended: float = 0.0

    def __init__(self, received: float) -> None:
        self.received = received

    def note_sent(self, now: float) -> None:
        """The call has left for an upstream."""
        self.own += now - self.since
        self.sent = now
