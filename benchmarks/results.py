"""The samples of a run, and the medians and ratios asked of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from .scenario import Values

__all__ = ["Case", "Failure", "Results", "Sample"]


@dataclass(frozen=True)
class Case:
    """One cell of the tables."""

    scenario: str
    tls: bool
    size: int


@dataclass(frozen=True)
class Sample:
    case: Case
    contender: str
    round: int
    values: Values


@dataclass(frozen=True)
class Failure:
    case: Case
    contender: str
    reason: str


@dataclass
class Results:
    """What has been measured so far. Ratios and differences are taken within a round, then their median."""

    samples: list[Sample] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def contenders(self, case: Case) -> list[str]:
        """Who was measured, in the order of the first round."""
        return list(dict.fromkeys(sample.contender for sample in self.samples if sample.case == case))

    def values(self, case: Case, contender: str, key: str) -> dict[int, float]:
        """By round."""
        return {
            sample.round: sample.values[key]
            for sample in self.samples
            if sample.case == case and sample.contender == contender and key in sample.values
        }

    def median(self, case: Case, contender: str, key: str) -> float | None:
        return _median(self.values(case, contender, key).values())

    def ratio(self, case: Case, contender: str, other: str, key: str) -> float | None:
        """How many times ``other``'s value."""
        mine, theirs = self.values(case, contender, key), self.values(case, other, key)
        return _median(mine[turn] / theirs[turn] for turn in mine if theirs.get(turn))

    def difference(self, case: Case, contender: str, other: str, key: str) -> float | None:
        """How much more than ``other``'s value."""
        mine, theirs = self.values(case, contender, key), self.values(case, other, key)
        return _median(mine[turn] - theirs[turn] for turn in mine if turn in theirs)


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None
