"""Which modules of the core are compiled by mypyc, and which build runs here.

The one table that the build (``hatch_build.py``), the tests and the documentation share. It is also executed from the
sources, before anything is installed, so it imports nothing but the standard library.
"""

import ast
import hashlib
import json
import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = [
    "RECORD",
    "Build",
    "core_modules",
    "digests",
    "python_is_optimized",
    "require_whole_build",
    "running_build",
]

ROOMS: Final = (
    "apis",
    "deployments",
    "gateway",
    "journal",
    "limits",
    "metering",
    "policy",
    "records",
    "upstream",
    "wire",
)
"""Their modules are compiled, but for those that ``INTERPRETED`` names and those that ``_defines_structs``."""

INTERPRETED: Final = {
    "__init__": "only imports",
    "settings": "read once, when the process starts",
    "gateway.asgi": "takes what other servers hand in, whatever its type is",
    "gateway.asgi_socket": "takes what other servers hand in, whatever its type is",
    "gateway.estimator": "its work is done in a thread",
    "gateway.reference": "writes the documentation",
    "journal.archive": "the consumers' side",
    "journal.committer": "runs in a thread of its own, and waits for the disk",
    "journal.cursors": "the consumers' side",
    "journal.directory": "runs when the process starts",
    "journal.missing": "runs when the process starts, and in the consumers",
    "journal.reader": "the consumers' side",
    "journal.reserve": "waits for the disk",
    "journal.rewriting": "runs when somebody is erased",
    "journal.segment_file": "waits for the disk",
    "journal.seq_limit": "runs a few times an hour",
    "journal.status": "runs once a second",
    "metering.apart": "the main module of a process of its own",
    "policy.key_changes": "runs when keys change",
    "policy.key_holders": "runs when keys change, in a thread",
    "policy.keys_file": "runs when keys change",
    "records.clock": "other clocks are subclasses of it",
    "records.columns": "named tuples with methods",
    "records.meanings": "reads the source of other modules",
    "upstream.secret_sources": "waits for others, in a thread",
    "upstream.lookup": "runs when a connection is opened",
    "upstream.tunnel": "runs when a connection is opened through a proxy",
}
"""Module, within the package or by its last name → why it is not compiled."""

RECORD: Final = "build.json"
"""Beside this module: what the build has made, and from which sources. A checkout that was not compiled has none."""

_MAY_BE_STRUCT: Final = re.compile(r"^\s*class [^:]*(?:Struct|=)", re.MULTILINE)
_HERE: Final = Path(__file__).resolve().parent
_STRUCTS: Final = "defines msgspec.Struct classes, which msgspec has to make itself"


def core_modules(package: Path) -> dict[str, str | None]:
    """The modules of the core, named within ``package`` (``wire.http1``) → why they are not compiled; ``None``: they
    are."""
    files = sorted(file for room in ROOMS for file in (package / room).glob("*.py"))
    return {name: _reason(name, file) for file in files if (name := f"{file.parent.name}.{file.stem}")}


def _reason(name: str, file: Path) -> str | None:
    named = INTERPRETED.get(name) or INTERPRETED.get(file.stem)
    return named or (_STRUCTS if _defines_structs(file.read_text("utf-8")) else None)


def _defines_structs(source: str) -> bool:
    """Also a subclass of one from elsewhere, if it has options: nothing else in the core has any."""
    if _MAY_BE_STRUCT.search(source) is None:  # of most, at a hundredth of the price
        return False
    return any(
        isinstance(node, ast.ClassDef) and (node.keywords or any(ast.unparse(b).endswith("Struct") for b in node.bases))
        for node in ast.walk(ast.parse(source))
    )


def digests(package: Path, modules: list[str]) -> dict[str, str]:
    """SHA-256 of the sources of ``modules``; of one that is not there, nothing."""
    files = {name: package / f"{name.replace('.', '/')}.py" for name in modules}
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items() if file.exists()}


@dataclass(frozen=True)
class Build:
    """What of the core runs compiled. ``str`` gives it in words."""

    modules: int
    """That the build has compiled."""
    compiled: int
    """Of these, which this interpreter loads; another version of Python loads none."""
    stale: tuple[str, ...]
    """Those whose source is not what was compiled."""
    compiler: str
    """``mypyc 2.4.1``; empty where nothing was compiled."""
    reason: str
    """Why nothing was compiled, where the build has said."""

    def __str__(self) -> str:
        if not self.compiled:
            return f"pure Python ({self.reason})" if self.reason else "pure Python"
        words = f"compiled by {self.compiler}, {self.compiled} of {self.modules} modules"
        return f"{words}, of which {len(self.stale)} are not what their sources say" if self.stale else words

    @property
    def hint(self) -> str | None:
        """What to do about a build that must not be used."""
        if not self.stale and self.compiled in (0, self.modules):
            return None
        return "compile again with scripts/compile, or remove what was compiled with scripts/compile --clean"


def running_build(package: Path = _HERE) -> Build:
    """What the build's record and the files beside the sources say. Reads the sources that were compiled: 1 ms."""
    try:
        record: dict[str, Any] = json.loads((package / RECORD).read_text("utf-8"))
    except FileNotFoundError:
        record = {}
    built: dict[str, str] = record.get("modules", {})
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    loaded = [name for name in built if (package / f"{name.replace('.', '/')}{suffix}").exists()]
    found = digests(package, loaded)
    stale = tuple(name for name in loaded if found.get(name) != built[name])
    reason = record.get("reason") or ("" if not built or loaded else f"it was compiled for {record['made_for']}")
    return Build(len(built), len(loaded), stale, record.get("compiler", ""), reason)


def require_whole_build() -> None:
    """Raises ``ConfigError`` where compiled modules are out of date, or some of them are gone."""
    if hint := (build := running_build()).hint:
        from .errors import ConfigError  # not there yet when the build reads this file

        raise ConfigError(f"this build must not be used: {build}; {hint}")


def python_is_optimized() -> bool:
    """Whether this interpreter was built with profile-guided optimization, which makes it about a fifth faster."""
    return "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
