"""Whether the targets of deployments take calls, as the running relays have found."""

from collections.abc import Iterator
from pathlib import Path

from ...config import Config
from ...errors import TokenweirError
from ...journal import journal_directories, read_status
from ...records import TargetStatus
from .check_result import CheckResult, fine, warn

__all__ = ["check_targets"]

_FIX = (
    "the upstream's own checks above say more; calls go to the other targets, or are answered 503 where there is none"
)


def check_targets(config: Config) -> Iterator[CheckResult]:
    """One result for each target in each relay."""
    try:
        directories = journal_directories(Path(config.journal.directory))
    except TokenweirError:
        return  # told with the journals
    for directory in directories:
        status = read_status(directory)
        for target in status.targets if status is not None and status.running else ():
            yield _result(directory.name, target)


def _result(relay: str, target: TargetStatus) -> CheckResult:
    what = f"deployment {target.deployment} in {relay}: {target}"
    return fine(what) if target.breaker == "closed" else warn(what, _FIX)
