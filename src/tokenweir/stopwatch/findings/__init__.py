"""From a call to sentences about it: pure functions, one file for each question."""

from itertools import chain

from ..capture import Capture
from ..measures import Measures
from .buffering import buffering
from .endings import endings
from .finding import Finding, Weight, milliseconds
from .format import format
from .pace import pace
from .refusals import refusals

__all__ = ["Finding", "Weight", "findings_of", "milliseconds"]

_QUESTIONS = (refusals, endings, format, buffering, pace)
_ORDER: tuple[Weight, ...] = ("bad", "odd", "note")


def findings_of(capture: Capture, measures: Measures) -> list[Finding]:
    """What there is to say about a call, the worst first."""
    found = chain.from_iterable(question(capture, measures) for question in _QUESTIONS)
    return sorted(found, key=lambda finding: _ORDER.index(finding.weight))
