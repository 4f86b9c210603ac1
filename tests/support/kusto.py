"""Kusto's own language service, from npm: what Application Insights would say of a query before it runs it."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .node_packages import installed

__all__ = ["Fault", "faults_of"]

_CHECK = Path(__file__).with_name("kusto_check.js")


class Fault(msgspec.Struct, frozen=True):
    message: str
    at: str
    """The text that it is about."""


def faults_of(queries: Sequence[str]) -> list[list[Fault]]:
    """What is wrong with each query, over the tables ``customEvents`` and ``traces`` of Application Insights."""
    package = "@kusto/language-service-next"
    node, modules = installed("kusto", f"{package}@12", "KQL is not checked by Kusto's language service")
    ran = subprocess.run(
        [node, _CHECK, modules / package], input=json.dumps(list(queries)), capture_output=True, text=True, check=True
    )
    return msgspec.json.decode(ran.stdout, type=list[list[Fault]])
