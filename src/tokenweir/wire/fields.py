"""Header lines, read once and remembered (RFC 9110, section 5; RFC 9112, section 5).

Strategy: a gateway hands most header lines on as they came, and most lines recur from call to call
(``Accept: application/json``). So a line is judged against the grammar the first time it is seen and
remembered with its verdict; afterwards one dictionary lookup tells what to do with it. This is what
HPACK's dynamic table does for HTTP/2. Lines that carry secrets, that are long, or that differ by
nature are judged each time and never remembered.
"""

import re
from collections.abc import Callable

from .request_fields import CALLER_KEYS, PRINCIPAL

__all__ = ["TOKEN", "FieldLine", "Fields", "LineReader", "without_options"]

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"

Fields = dict[bytes, bytes]
"""Lower-case name → value, only of the fields that somebody reads."""

# Enough for the lines of some hundred client programs; then the memory starts afresh.
_REMEMBERED_LINES = 4096
_REMEMBERED_LENGTH = 160


FieldLine = tuple[bytes, bytes, bool]
"""What to do with one line: its name and value (empty where nobody reads it), and whether it travels on."""


class LineReader:
    """Judges the header lines of one direction.

    ``read`` names the fields whose values are wanted; ``stays`` says of a name whether it ends at this hop, and
    ``forget`` whether its line is never to be remembered. ``strict`` admits visible ASCII only, and refuses a
    field that is read, is no list, and comes twice with two meanings.
    """

    def __init__(
        self,
        *,
        read: frozenset[bytes],
        stays: Callable[[bytes], bool],
        forget: Callable[[bytes], bool],
        strict: bool,
    ) -> None:
        self._read = read
        self._stays = stays
        self._forget = forget
        self._strict = strict
        value = rb"[\t -~]*+" if strict else rb"[\t -~\x80-\xff]*+"
        self._line = re.compile(rb"(" + TOKEN + rb"):(" + value + rb")")
        self._remembered: dict[bytes, FieldLine] = {}

    def read_lines(self, lines: list[bytes]) -> tuple[Fields, list[bytes]]:
        """The fields somebody reads, and the lines that travel on.

        Raises ``ValueError`` with words for a person when a line breaks the grammar or a
        field that must be single comes twice.
        """
        fields: Fields = {}
        kept: list[bytes] = []
        remembered = self._remembered
        for line in lines:
            known = remembered.get(line)
            name, value, travels = known if known is not None else self.judge(line)
            if travels:
                kept.append(line)
            if name:
                if name in fields:
                    value = self._joined(name, fields[name], value)
                fields[name] = value
        return fields, kept

    def _joined(self, name: bytes, first: bytes, second: bytes) -> bytes:
        if name in _FRAMING:
            raise ValueError(f"the header {name.decode()} comes twice")
        if first == second:
            return first
        if name in _LISTS:
            return first + b", " + second
        if self._strict and name in _MEANINGFUL:
            raise ValueError(f"the header {name.decode()} comes twice with different values")
        return first  # both lines are handed on, whatever they say of each other

    def judge(self, line: bytes) -> FieldLine:
        """What to do with one line. Raises ``ValueError``."""
        match = self._line.fullmatch(line)
        if match is None:
            raise ValueError(explain(line))
        name, value = match.groups()
        name = name.lower()
        value = value.strip(_AROUND.get(name, b" \t"))
        wanted, travels = name in self._read, not self._stays(name)
        verdict: FieldLine = (name, value, travels) if wanted else (b"", b"", travels)
        if len(line) <= _REMEMBERED_LENGTH and not self._forget(name):
            if len(self._remembered) >= _REMEMBERED_LINES:
                self._remembered.clear()
            self._remembered[line] = verdict
        return verdict


# The standard allows tabs around a value; around those that say where a body ends, not every reader does.
_AROUND = {b"content-length": b" ", b"transfer-encoding": b" "}
_FRAMING = frozenset([b"host", b"content-length", b"transfer-encoding"])
_MEANINGFUL = frozenset([*CALLER_KEYS, *PRINCIPAL, b"content-type"])
_LISTS = frozenset(
    [
        b"accept-encoding",
        b"connection",
        b"content-encoding",
        b"expect",
        b"sec-websocket-protocol",
        b"te",
        b"trailer",
        b"upgrade",
    ]
)


def explain(line: bytes) -> str:
    """Why a header line is refused, without repeating what it says (it may hold a key)."""
    name, colon, value = line.partition(b":")
    if line[:1] in b" \t":
        return "a header is folded over two lines (obs-fold); put it on one"
    if not colon:
        return "a header line has no colon"
    if re.fullmatch(TOKEN, name) is None:
        return "a header name holds a space or another character that is not allowed there"
    shown = name[:64].decode("ascii")
    if b"\n" in value or b"\r" in value:
        return f"the header {shown} holds a bare line feed or carriage return; lines end with CR LF"
    if b"\0" in value:
        return f"the header {shown} holds a NUL byte"
    return f"the header {shown} holds a control character or a character that is not ASCII"


def without_options(kept: list[bytes], connection: bytes) -> list[bytes]:
    """The travelling lines less those that ``Connection`` names as meant for this hop only (RFC 9110, 7.6.1)."""
    options = {option.strip().lower() for option in connection.split(b",")} - {b"close", b"keep-alive", b""}
    if not options:
        return kept
    return [line for line in kept if line.partition(b":")[0].lower() not in options]
