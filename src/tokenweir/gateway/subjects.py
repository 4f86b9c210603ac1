"""Whose call it is, as its client says it: for reports, by setting, and hashed where that is wanted."""

from collections.abc import Sequence

from msgspec.structs import replace

from ..policy import hashed_subject
from ..records import CallRecord
from .request import Request

__all__ = ["HEADER_PREFIX", "LONGEST_SUBJECT", "METADATA_PREFIX", "SubjectRule", "with_subject"]

HEADER_PREFIX = "header:"
METADATA_PREFIX = "metadata."
"""Requests to Claude have it in ``metadata.user_id``."""
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
            elif source.startswith(METADATA_PREFIX):
                said = request.metadata_member(source[len(METADATA_PREFIX) :])
                if said is not None and len(said) > LONGEST_SUBJECT:
                    said = None
            else:
                said = request.header(source[len(HEADER_PREFIX) :].lower().encode("ascii"))
                if said is not None and len(said) > LONGEST_SUBJECT:
                    said = None
            if said:
                return said if self._secret is None else hashed_subject(self._secret, said)
        return None


def with_subject(record: CallRecord, request: Request, rule: SubjectRule) -> CallRecord:
    """The record with what the client says, where nobody else has said whose call it is."""
    said = rule.of(request) if record.subject is None else None
    return record if said is None else replace(record, subject=said, identity_source="client")
