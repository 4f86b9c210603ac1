"""Where the fields of a ``multipart/form-data`` body stand, read as its bytes arrive (RFC 7578, RFC 2046 5.1). A pure
machine, as ``json_object.py`` is for JSON.

Files pass without being kept. What two readers could read in two ways is refused: a boundary that stands anywhere but
at the beginning of a line, a field that is looked for twice, or under a name that only some would take for it.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from .structs import MemberPlace, Members

__all__ = ["FormReader", "boundary_of"]

# The fields of a part's head are three, and short.
_MAX_HEAD = 8 * 1024
# Spaces may follow a boundary (RFC 2046, 5.1.1); nobody writes them.
_MAX_PADDING = 64

_BOUNDARY = re.compile(
    rb"multipart/form-data[ \t]*;(?:[^;\"]*;)*?[ \t]*boundary=(?:\"([^\"\\]{1,70})\"|([^\s;\",]{1,70}))[ \t]*(?:;.*)?",
    re.IGNORECASE | re.DOTALL,
)
_DISPOSITION = re.compile(
    rb"form-data((?:[ \t]*;[ \t]*[a-z*]+=(?:\"(?:[^\"\\\r\n]|\\.)*\"|[^\s;\"]+))*)[ \t;]*", re.IGNORECASE
)
_PARAMETER = re.compile(rb"([A-Za-z*]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]+))")


def boundary_of(content_type: bytes) -> bytes | None:
    """The boundary that a form's Content-Type names; None where it is no form, or names none."""
    found = _BOUNDARY.fullmatch(content_type.strip())
    if found is None or content_type.lower().count(b"boundary=") > 1:
        return None
    return found[1] or found[2]


class FormReader:
    """Reads one form. ``feed`` and ``finish`` raise ``ValueError`` with what is wrong; after that nothing may be fed.

    Of the `Members` that it finds, a ``value`` is the field's bytes, and ``end`` is where a further part would begin.
    """

    def __init__(self, boundary: bytes, wanted: Iterable[str], *, max_value: int = 4 * 1024) -> None:
        self._delimiter = b"--" + boundary
        self._wanted = frozenset(wanted)
        self._max_value = max_value
        self._found: dict[str, MemberPlace] = {}
        self._place = "before"
        """``before`` the first part, in its ``head`` or its ``content``, at a ``delimiter``, or ``behind`` the last."""
        self._data = b""
        """What has come and is not read yet, and before it as much as a delimiter may need."""
        self._at = 0
        """Where ``_data`` begins in the body."""
        self._end = 0
        # of the part that is being read
        self._name: str | None = None
        self._value = b""
        self._value_at = 0

    def feed(self, piece: bytes) -> None:
        self._data += piece
        while self._step():
            pass

    def finish(self) -> Members:
        if self._place != "behind":
            raise ValueError("the form is cut off" if self._at or self._data else "the form is empty")
        return Members(self._found, None, not self._found, self._end)

    def _step(self) -> bool:
        """Reads on; False where more has to come first."""
        if self._place == "delimiter":
            return self._read_delimiter()
        if self._place == "head":
            return self._read_head()
        return self._read_content()

    def _take(self, size: int) -> None:
        self._data = self._data[size:]
        self._at += size

    def _read_content(self) -> bool:
        data, delimiter = self._data, self._delimiter
        at = data.find(delimiter)
        if at < 0:
            done = max(0, len(data) - len(delimiter) - 1)  # the line's end before it belongs to a delimiter, too
            self._keep(data[:done])
            self._take(done)
            return False
        if self._place == "behind" or (data[max(0, at - 2) : at] != b"\r\n" and self._at + at):
            raise ValueError("its boundary stands where no part begins")
        self._keep(data[: max(0, at - 2)])
        self._end = max(0, self._at + at - 2)
        if self._name is not None:
            whole = len(self._value) <= self._max_value
            self._found[self._name] = MemberPlace(self._value_at, self._end, self._value if whole else None)
            self._name = None
        self._take(at + len(delimiter))
        self._place = "delimiter"
        return True

    def _keep(self, content: bytes) -> None:
        if self._name is not None:
            self._value += content[: self._max_value + 1 - len(self._value)]

    def _read_delimiter(self) -> bool:
        if self._data[:2] == b"--":
            self._take(2)
            self._place = "behind"
            return True
        end = self._data.find(b"\r\n")
        if end < 0 and len(self._data) <= _MAX_PADDING:
            return False
        if end < 0 or self._data[:end].strip(b" \t"):
            raise ValueError("its boundary stands where no part begins")
        self._take(end)  # the line's end also ends a head without fields
        self._place = "head"
        return True

    def _read_head(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end > _MAX_HEAD or (end < 0 and len(self._data) > _MAX_HEAD):
            raise ValueError(f"a part of it has a head of more than {_MAX_HEAD} bytes")
        if end < 0:
            return False
        name = self._name_in(self._data[:end])
        self._take(end + 4)
        self._place, self._name, self._value, self._value_at = "content", name, b"", self._at
        return True

    def _name_in(self, head: bytes) -> str | None:
        """The field's name, if it is looked for."""
        lines = dict(line.partition(b":")[::2] for line in head.lower().split(b"\r\n") if line)
        written = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-disp")]
        disposition = _DISPOSITION.fullmatch(written[0].strip()) if len(written) == 1 else None
        parameters = _PARAMETER.findall(disposition[1]) if disposition is not None else []
        names = [
            (quoted or bare).decode("utf-8", "replace")
            for key, quoted, bare in parameters
            if key.lower() in (b"name", b"name*")
        ]
        is_folded = any(line[:1] in (b" ", b"\t") for line in head.split(b"\r\n"))
        is_extended = any(key.lower() == b"name*" for key, _, _ in parameters)  # not for forms (RFC 7578, 4.2)
        if (
            len(names) != 1
            or is_extended
            or is_folded
            or b"\r" in head.replace(b"\r\n", b"")
            or b"\n" in head.replace(b"\r\n", b"")
        ):
            raise ValueError("a part of it does not say in one way which field it is (Content-Disposition)")
        name: str = names[0]
        plain: str = unquote(name.replace("\\", "")).strip().casefold()
        if plain not in self._wanted:
            return None
        if name != plain or b"content-transfer-encoding" in lines:
            raise ValueError(f"its field `{plain}` is written in a way that not every reader understands")
        if name in self._found:
            raise ValueError(f"its field `{name}` is there twice")
        return name
