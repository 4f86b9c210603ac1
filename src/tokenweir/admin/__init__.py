"""The admin port: what the books know, as JSON, metrics and health."""

from .app import create_app
from .health import Check, ConfigInForce, LedgerStatus, RelayStatus, readiness
from .metrics import Metrics
from .openapi import PATHS, document

__all__ = [
    "PATHS",
    "Check",
    "ConfigInForce",
    "LedgerStatus",
    "Metrics",
    "RelayStatus",
    "create_app",
    "document",
    "readiness",
]
