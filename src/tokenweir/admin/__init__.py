"""The admin port: what the books know, as JSON, metrics and health."""

from .accounts import AccountsApi
from .app import create_app
from .consumer import ConsumerStatus, create_consumer_app
from .health import Check, ConfigInForce, LedgerStatus, RelayStatus, readiness
from .metrics import Metrics
from .openapi import PATHS, document
from .service_lists import ServiceLists

__all__ = [
    "PATHS",
    "AccountsApi",
    "Check",
    "ConfigInForce",
    "ConsumerStatus",
    "LedgerStatus",
    "Metrics",
    "RelayStatus",
    "ServiceLists",
    "create_app",
    "create_consumer_app",
    "document",
    "readiness",
]
