"""The heads of requests and answers as nouns: plain classes, so that the compiled ones are C structs. Their fields are
read a hundred times in a call.
"""

from .fields import Fields

__all__ = ["RequestHead", "ResponseHead"]


class RequestHead:
    """A request's head. ``kept`` are the lines that travel on; ``fields`` what this hop reads."""

    def __init__(
        self,
        method: bytes,
        target: bytes,
        fields: Fields,
        kept: list[bytes],
        content_length: int | None,
        keep_alive: bool,
        http_1_0: bool,
        expects_continue: bool,
    ) -> None:
        """``content_length``: bytes of body to come; ``None`` when chunked."""
        self.method = method
        self.target = target
        self.fields = fields
        self.kept = kept
        self.content_length = content_length
        self.keep_alive = keep_alive
        self.http_1_0 = http_1_0
        self.expects_continue = expects_continue

    @property
    def has_body(self) -> bool:
        return self.content_length != 0


class ResponseHead:
    """An answer's head."""

    is_followed = False
    """Whether bytes of the body came with the head, so that both can be written at once."""

    def __init__(
        self,
        status: int,
        line: bytes,
        fields: Fields,
        lines: bytes,
        content_length: int | None,
        is_chunked: bool,
        keeps_alive: bool,
        is_event_stream: bool,
    ) -> None:
        """``line`` is the status line less its version (``200 OK``). ``fields`` are those that somebody behind this
        room reads; heads may share them: not to be changed. ``lines`` travel to the client as they came, each behind
        its CR LF. ``content_length`` is ``None`` where the body is chunked, or lasts until the connection closes.
        ``keeps_alive``: whether the connection stays open behind this answer, as far as its head tells."""
        self.status = status
        self.line = line
        self.fields = fields
        self.lines = lines
        self.content_length = content_length
        self.is_chunked = is_chunked
        self.keeps_alive = keeps_alive
        self.is_event_stream = is_event_stream

    @property
    def has_body(self) -> bool:
        return self.content_length != 0 and self.status not in (204, 304)
