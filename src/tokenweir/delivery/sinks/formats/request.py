"""What the caller asked, taken from a request body that was kept: members as they stand in it, not as we read them."""

import msgspec

from ....wire import mend_json

__all__ = ["Asked", "read_request"]

_NOTHING = msgspec.Raw(b"null")
_NO_MESSAGES = msgspec.Raw(b"[]")


class _Body(msgspec.Struct):
    messages: msgspec.Raw = _NO_MESSAGES
    prompt: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING


class Asked(msgspec.Struct, frozen=True):
    """JSON texts, without white space between the tokens, so that they fit into a line."""

    messages: msgspec.Raw = _NO_MESSAGES
    """A chat's messages, ``[]`` where there are none."""
    input: msgspec.Raw = _NOTHING
    """A completion's ``prompt``, or the ``input`` of an embedding or a response; ``null`` where there is none."""


def read_request(body: str | None) -> Asked:
    """What can be taken from a body; nothing from one that is no JSON object."""
    if body is None:
        return Asked()
    raw = body.encode(errors="replace")
    for attempt in (bytes, mend_json):
        try:
            found = msgspec.json.decode(attempt(raw), type=_Body)
            messages = _on_one_line(found.messages)
            has_messages = bytes(messages)[:1] == b"["
            asked = _on_one_line(found.input if bytes(found.prompt) == b"null" else found.prompt)
            return Asked(messages if has_messages else _NO_MESSAGES, asked)
        except (ValueError, RecursionError):
            continue
    return Asked()


def _on_one_line(text: msgspec.Raw) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.format(bytes(text), indent=-1))
