"""The checks of ``tokenweir doctor``."""

from collections.abc import Iterator, Mapping

from ...config import Loaded, is_consumers
from ...errors import TokenweirError
from ...records import SystemClock
from ..admin_client import AdminClient
from .books import check_jobs, check_journals, check_ledger
from .check_result import CheckResult, bad, fine, warn
from .intake import check_consumer, check_intake_source
from .machine import (
    check_certificate,
    check_directories,
    check_file_limit,
    check_ledger_directory,
    check_software,
    check_vocabularies,
)
from .models import check_models
from .places import check_archive, check_shared_keys, check_token_keys
from .ports import check_ports
from .sinks import check_sinks
from .targets import check_targets
from .upstream import check_upstream

__all__ = ["CheckResult", "check_all"]


def check_all(loaded: Loaded, environ: Mapping[str, str]) -> Iterator[CheckResult]:
    """Everything, the cheap first. Each upstream gets one request, each sink one connection; nothing is changed."""
    config = loaded.config
    if is_consumers(config):
        yield from _check_consumer(loaded, environ)
        return
    gateway_runs = _gateway_runs(loaded)
    yield from check_software()
    yield from check_vocabularies()
    yield from _check_config(loaded)
    yield from check_file_limit()
    yield from check_directories(config)
    yield from check_certificate(config, SystemClock().now())
    yield from check_ports(config, gateway_runs=gateway_runs)
    yield from check_ledger(config, gateway_runs=gateway_runs)
    yield from check_journals(config)
    yield from check_archive(config)
    yield from check_shared_keys(config)
    yield from check_token_keys(config)
    yield from check_jobs(config)
    for upstream in config.upstreams:
        yield from check_upstream(upstream, environ)
    yield from check_targets(config)
    yield from check_models(config, SystemClock().now().date())
    yield from check_sinks(config, environ)
    if config.intake.servers or config.intake.connection_string_env or config.intake.namespace:
        yield from check_intake_source(config, environ)


def _check_consumer(loaded: Loaded, environ: Mapping[str, str]) -> Iterator[CheckResult]:
    """Of what a consumer is made, and nothing that only a gateway has."""
    config = loaded.config
    yield from check_software()
    yield from _check_config(loaded)
    yield from check_ledger_directory(config)
    yield from check_ledger(config, gateway_runs=False)
    yield from check_intake_source(config, environ)
    yield from check_consumer(config)


def _check_config(loaded: Loaded) -> Iterator[CheckResult]:
    source = loaded.source or "the environment alone"
    for problem in loaded.problems:
        yield bad(f"configuration: {problem}", "`tokenweir config check` shows what was read from where")
    for note in loaded.notes:
        yield warn(f"configuration: {note}", "nothing to fix, if that is meant so")
    if not loaded.problems:
        yield fine(f"configuration: good, from {source}")


def _gateway_runs(loaded: Loaded) -> bool:
    """Whether a Tokenweir answers on the admin port."""
    try:
        return AdminClient(loaded.config).get("/healthz") is not None
    except TokenweirError:
        return False
