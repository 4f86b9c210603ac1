"""JSON that was cut off somewhere: what can still be read of it, as a whole document.

Loggers with a limit of so many bytes leave such documents. What stands before the cut is true, so it is kept: a text
that was cut is kept as far as it goes, a number that was cut could be any other and is left out with its name.
"""

import re

__all__ = ["close_json"]

# Everything in JSON that matters here: texts, the signs between values, and the values that are neither.
_TOKEN = re.compile(r'\s*(?:("(?:[^"\\\x00-\x1f]|\\.)*")|([{}\[\],:])|([^\s"{}\[\],:]+))', re.DOTALL)
_OPENED_TEXT = re.compile(r'\s*"')
# What a cut can leave of an escape.
_HALF_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:u[0-9a-fA-F]{0,3})?\Z")

_CLOSES = {"{": "}", "[": "]"}


def close_json(text: str) -> str | None:
    """A JSON document that holds what ``text``, the beginning of one, holds; None if nothing can be made of it.

    It is no check: what is no JSON at all may give a text that is none either.
    """
    opened: list[str] = []
    # Up to here everything is whole, and since then nothing was opened or closed.
    good_end = 0
    expects_value = True  # a text that comes now is a value, not a name
    at = 0
    while token := _TOKEN.match(text, at):
        quoted, sign, bare = token.groups()
        at = token.end()
        if sign in _CLOSES:
            opened.append(sign)
            expects_value = sign == "["
            good_end = at
        elif sign in ("}", "]"):
            if not opened or _CLOSES[opened.pop()] != sign:
                return None
            good_end = at
            if not opened:
                return text[:at] if not text[at:].strip() else None
        elif sign == ":":
            expects_value = True
        elif sign == ",":
            expects_value = opened[-1:] == ["["]
        elif expects_value and opened and (quoted or at < len(text)):
            good_end = at
            expects_value = False
        elif bare and not expects_value:
            return None
    if expects_value and opened and (begun := _OPENED_TEXT.match(text, at)):
        rest = text[begun.end() :]
        if any(character < " " for character in rest):
            return None
        return text[: begun.end()] + _HALF_ESCAPE.sub(r"\1", rest) + '"' + _closing(opened)
    if text[at:].strip() and not _OPENED_TEXT.match(text, at):
        return None
    return text[:good_end] + _closing(opened) if good_end else None


def _closing(opened: list[str]) -> str:
    return "".join(_CLOSES[sign] for sign in reversed(opened))
