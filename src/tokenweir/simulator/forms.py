"""A form as the fields that it has, read by the standard library and not by what the gateway reads forms with."""

from email import message_from_bytes
from typing import Any

__all__ = ["form_of"]


def form_of(content_type: str, body: bytes) -> dict[str, Any]:
    """The fields of a form, its file as bytes. Raises ``ValueError`` where it is none."""
    read = message_from_bytes(b"Content-Type: %b\r\n\r\n%b" % (content_type.encode("latin-1"), body))
    if not read.is_multipart() or read.defects:
        raise ValueError("it is no form")
    fields: dict[str, Any] = {}
    for part in read.walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = content if part.get_filename() else content.decode(errors="replace")
    return fields
