"""Whose call it is, as its client says it: for reports, by setting, and hashed where that is wanted."""

from collections.abc import Sequence

from msgspec.structs import replace

from ..policy import hashed_subject
from ..records import CallRecord
from .request import Request

__all__ = ["HEADER_PREFIX", "LONGEST_SUBJECT", "SubjectRule", "with_subject"]

HEADER_PREFIX = "header:"
LONGEST_SUBJECT = 512
"""OpenAI's ``safety_identifier`` has 64 characters at most; what is much longer is nobody's name."""


class SubjectRule:
    """``sources`` in their order: members of the body, or ``header:`` and a name."""

    def __init__(self, sources: Sequence[str], secret: str | None) -> None:
        self._sources = sources
        self._secret = secret

    def of(self, request: Request) -> str | None:
        """The subject as it is written down; None where nothing is said."""
        for source in self._sources:
            if source == "user":
                said = request.user
            elif source == "safety_identifier":
                said = request.safety_identifier
            else:
                said = _header(request, source[len(HEADER_PREFIX) :].lower().encode("ascii"))
            if said:
                return said if self._secret is None else hashed_subject(self._secret, said)
        return None


def with_subject(record: CallRecord, request: Request, rule: SubjectRule) -> CallRecord:
    """The record with what the client says, where nobody else has said whose call it is."""
    said = rule.of(request) if record.subject is None else None
    return record if said is None else replace(record, subject=said, identity_source="client")


def _header(request: Request, wanted: bytes) -> str | None:
    value = request.head.fields.get(wanted)
    if value is None:
        for line in request.head.kept:
            name, _, rest = line.partition(b":")
            if name.lower() == wanted:
                value = rest.strip()
                break
    if value is None or len(value) > LONGEST_SUBJECT:
        return None
    return value.decode("latin-1")
