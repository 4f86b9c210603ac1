"""What is configured and needs a package that only comes with an extra of ours, and is not here."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from ..delivery.sources import intake_packages
from .model import Config
from .problems import Problems
from .setting_path import Path

__all__ = ["missing_extras"]

_IDENTITY = ("azure", "azure.identity")
_BLOBS = ("azure", "azure.storage.blob")

_LEDGERS = {
    "postgresql": ("postgres", "psycopg"),
    "postgres": ("postgres", "psycopg"),
    "clickhouse": ("clickhouse", "clickhouse_connect"),
    "clickhouse+http": ("clickhouse", "clickhouse_connect"),
}

_KEYS = {
    "postgresql": ("postgres", "psycopg"),
    "postgres": ("postgres", "psycopg"),
    "redis": ("redis", "redis"),
    "rediss": ("redis", "redis"),
    "unix": ("redis", "redis"),
    "https": _BLOBS,
    "http": _BLOBS,
}

Need = tuple[Path, str, str]
"""The setting, the extra, the module."""


def missing_extras(config: Config, environ: Mapping[str, str]) -> Problems:
    """One line for each setting, with the command that installs what it needs."""
    told: set[tuple[Path, str]] = set()
    for path, extra, module in (*_of_upstreams(config), *_of_sinks(config), *_of_books(config)):
        if (path, extra) not in told and not _is_here(module):
            told.add((path, extra))
            yield path, f"needs {module}, which is not installed; run: pip install 'tokenweir[{extra}]'"


def _of_upstreams(config: Config) -> Iterator[Need]:
    for upstream in config.upstreams:
        for way in ("managed_identity", "workload_identity", "client_secret_env", "key_vault"):
            if getattr(upstream.credential, way):
                yield ("upstreams", f'"{upstream.name}"', "credential", way), *_IDENTITY


def _of_sinks(config: Config) -> Iterator[Need]:
    for sink in config.sinks:
        for setting, extra, module in sink.connection.packages():
            yield ("sinks", f'"{sink.name}"', *setting.split(".")), extra, module
        if "://" in (sink.dead_letters or ""):
            yield ("sinks", f'"{sink.name}"', "dead_letters"), *_BLOBS


def _of_books(config: Config) -> Iterator[Need]:
    if need := _LEDGERS.get(config.ledger.url.partition(":")[0]):
        yield ("ledger", "url"), *need
    if need := _KEYS.get((config.server.shared_keys or "").partition(":")[0]):
        yield ("server", "shared_keys"), *need
    if "://" in (config.journal.archive or ""):
        yield ("journal", "archive"), *_BLOBS
    if config.entra.tenants:
        yield ("entra", "tenants"), "entra", "jwt"
    for setting, extra, module in intake_packages(config.intake):
        yield ("intake", setting), extra, module


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is a part of
        return False
