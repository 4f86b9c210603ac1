"""Reads the two places settings come from, a TOML file and the environment, into one raw tree.

``[server] data`` is ``TOKENWEIR_SERVER__DATA``; a list of tables is one variable with JSON in it,
``TOKENWEIR_CALLERS``. A variable wins over the file; an empty one counts as not set.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import msgspec

from ..errors import ConfigError, nearest
from .coercion import NotJson, fields, is_text, item_of, without_none
from .model import Config
from .setting_path import Path

__all__ = ["CONFIG_VARIABLE", "DEFAULT_FILE", "PREFIX", "read_environment", "read_file", "variable_name"]

DEFAULT_FILE = FilePath("tokenweir.toml")
PREFIX = "TOKENWEIR_"
CONFIG_VARIABLE = PREFIX + "CONFIG"

# These have our prefix and are no settings: where the file is, where its paths start, how much is logged, whether to
# build in pure Python, an option of `simulate`.
_NO_SETTINGS = frozenset(
    {CONFIG_VARIABLE, PREFIX + "HOME", PREFIX + "LOG", PREFIX + "LOG_FORMAT", PREFIX + "PURE", PREFIX + "SIMULATE_KEY"}
)

# Where a Service is called tokenweir, Kubernetes gives its neighbours TOKENWEIR_PORT, TOKENWEIR_SERVICE_HOST
# and so on.
_KUBERNETES = re.compile(r"TOKENWEIR_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP).*)?)")

_Tree = dict[str, Any]


def variable_name(path: Path) -> str:
    """The environment variable of a setting: ``("server", "data")`` → ``TOKENWEIR_SERVER__DATA``."""
    return PREFIX + "__".join(path).upper()


def _paths() -> dict[str, tuple[Path, Any]]:
    """Every variable there is, with its setting's path and type."""
    found: dict[str, tuple[Path, Any]] = {}
    for table, field in fields(Config).items():
        paths: dict[Path, Any] = {(table,): field.type}
        if not item_of(field.type):
            paths = {(table, name): without_none(inner.type) for name, inner in fields(field.type).items()}
        found |= {variable_name(path): (path, kind) for path, kind in paths.items()}
    return found


VARIABLES = _paths()


def read_file(file: FilePath) -> _Tree:
    """The file's tables as they are. Raises ConfigError if it cannot be read or is not TOML."""
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not a text in UTF-8 (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error


def read_environment(environ: Mapping[str, str]) -> tuple[dict[Path, Any], list[str]]:
    """The settings given by variables, raw, and what is wrong with the variables themselves."""
    values: dict[Path, Any] = {}
    problems: list[str] = []
    for name in sorted(name for name in environ if name.startswith(PREFIX) and environ[name]):
        if name in VARIABLES:
            path, kind = VARIABLES[name]
            values[path] = _raw(environ[name], kind)
        elif name not in _NO_SETTINGS and not _KUBERNETES.fullmatch(name):
            problems.append(f"{name}: {_unknown(name)}")
    return values, problems


def _raw(text: str, kind: Any) -> Any:
    """A variable's text as TOML would have given it: ``30`` is a number, ``30s`` stays a text."""
    if is_text(kind):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        return NotJson(str(error)) if item_of(kind) else text


def _unknown(name: str) -> str:
    meant = nearest(name, VARIABLES)
    if meant:
        return f"did you mean `{meant}`?"
    return f"no setting has this variable; they are made like {variable_name(('server', 'data'))}"
