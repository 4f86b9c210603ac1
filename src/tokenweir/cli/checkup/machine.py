"""What this machine gives: interpreter, vocabularies, directories, file descriptors."""

import os
import platform
import resource
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from ... import __version__
from ...build import python_is_optimized, running_build
from ...config import Config, expires_at
from ...errors import TokenweirError
from ...ledger import ledger_file
from ...vocabulary import verify
from .check_result import CheckResult, bad, fine, warn

__all__ = [
    "check_certificate",
    "check_directories",
    "check_directory",
    "check_file_limit",
    "check_ledger_directory",
    "check_software",
    "check_vocabularies",
]

# A stream takes two descriptors, the client's and the upstream's; idle connections and files some more.
_STREAMS = 10_000
_DESCRIPTORS = 2 * _STREAMS + 1_000

_RENEWAL_DUE = timedelta(days=14)
_RENEW = "renew it; a running gateway takes the new files within seconds"

_GB = 1024**3
# Room for about a million records without bodies.
_LOW_SPACE = 1 * _GB


def check_software() -> Iterator[CheckResult]:
    parts = ", ".join(f"{name} {version(name)}" for name in ("uvloop", "httptools", "msgspec", "duckdb"))
    yield fine(f"tokenweir {__version__} on Python {platform.python_version()}, {parts}")
    build = running_build()
    optimized = "with" if python_is_optimized() else "without"
    core = f"core: {build}; this Python was built {optimized} profile-guided optimization"
    yield bad(core, build.hint) if build.hint else fine(core)


def check_vocabularies() -> Iterator[CheckResult]:
    try:
        verify()
    except TokenweirError as error:
        yield bad(f"vocabularies: {error}", "install tokenweir again: its files were changed or are not whole")
    else:
        yield fine("vocabularies: both are whole (SHA-256)")


def check_file_limit() -> Iterator[CheckResult]:
    """The relay raises the soft limit to the hard one by itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= _DESCRIPTORS:
        yield fine(f"open files: the limit is enough for {_STREAMS:,} streams")
    else:
        yield warn(
            f"open files: the limit of {hard:,} is enough for about {max(0, hard - 1_000) // 2:,} streams",
            f"raise it to {_DESCRIPTORS:,} for {_STREAMS:,}: LimitNOFILE= of systemd, ulimits of a container",
        )


def check_certificate(config: Config, now: datetime) -> Iterator[CheckResult]:
    """When the data port's certificate ends; that it can be used at all is a matter of the configuration's checks."""
    if config.server.certificate is None:
        return
    path = Path(config.server.certificate)
    try:
        end = expires_at(path.read_bytes())
    except OSError as error:
        yield bad(f"certificate: {path} cannot be read ({error.strerror})", "change [server] certificate")
        return
    if end is None:
        yield warn(f"certificate: {path} does not tell when it ends", "look at it with `openssl x509 -enddate`")
    elif end < now:
        yield bad(f"certificate: {path} has expired on {end:%Y-%m-%d}", _RENEW)
    elif end - now < _RENEWAL_DUE:
        yield warn(f"certificate: {path} expires on {end:%Y-%m-%d}", _RENEW)
    else:
        yield fine(f"certificate: {path} is good until {end:%Y-%m-%d}")


def check_directories(config: Config) -> Iterator[CheckResult]:
    yield check_directory("journal", "[journal] directory", Path(config.journal.directory))
    yield from check_ledger_directory(config)
    yield check_directory("keys", "[server] keys", Path(config.server.keys).parent)


def check_ledger_directory(config: Config) -> Iterator[CheckResult]:
    if file := ledger_file(config.ledger.url):
        yield check_directory("ledger", "[ledger] url", Path(file).parent)


def check_directory(label: str, setting: str, directory: Path) -> CheckResult:
    """Whether files can be made in it; one that is not there yet is made where its nearest parent allows."""
    nearest = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    if not nearest.is_dir():
        return bad(f"{label}: {nearest} is a file, not a directory", f"move it away, or change {setting}")
    if os.statvfs(nearest).f_flag & os.ST_RDONLY:
        return bad(
            f"{label}: {nearest} is on a file system that is mounted read-only",
            f"`dmesg` says why (a disk with errors is mounted so); mount it for writing, or change {setting}",
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        return bad(
            f"{label}: {nearest} cannot be written by user {os.geteuid()}",
            f"give this user write permission on it, or change {setting}",
        )
    if (low := low_space(nearest)) is not None:
        return warn(f"{label}: {directory} has {low} free", f"free some space, or change {setting}")
    free = shutil.disk_usage(nearest).free
    return fine(f"{label}: {directory} can be written, {free / _GB:,.1f} GB free")


def low_space(directory: Path) -> str | None:
    """How little a directory's disk has left, or that of the nearest one above that exists; ``None``: enough."""
    nearest = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    return f"{free / _GB:.1f} GB" if free < _LOW_SPACE else None
