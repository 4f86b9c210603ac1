"""The description of the admin API (OpenAPI 3.1). Parameters stand in one table; fields come from the record."""

from typing import Any

import msgspec

from .. import __version__
from ..ledger import GROUPINGS, SUMS
from ..records import CallRecord

__all__ = ["PATHS", "document"]

_MOMENT = "How long ago (`90m`, `24h`, `7d`), a date or an ISO 8601 time."

_PARAMETERS: dict[str, dict[str, Any]] = {
    "limit": {"description": "How many, newest first.", "schema": {"type": "integer", "default": 50, "maximum": 10000}},
    "caller": {"description": "Only this caller's.", "schema": {"type": "string"}},
    "since": {"description": f"From then on. {_MOMENT}", "schema": {"type": "string"}},
    "until": {"description": f"Before then. {_MOMENT}", "schema": {"type": "string"}},
    "by": {
        "description": f"What to sum by, comma-separated: {', '.join(GROUPINGS)}, `tag:<name>`.",
        "schema": {"type": "string", "default": "caller"},
    },
}

PATHS: dict[str, dict[str, dict[str, Any]]] = {
    "/api/calls": {"get": {"summary": "The newest calls", "parameters": ["limit", "caller", "since", "until"]}},
    "/api/calls/{call_id}": {"get": {"summary": "One call, with its bodies where they are kept"}},
    "/api/usage": {"get": {"summary": "Sums by caller, model, day…", "parameters": ["by", "since", "until"]}},
    "/api/query": {"post": {"summary": "One read-only query: `{\"kql\": …}` or `{\"sql\": …}`"}},
    "/api/relays": {"get": {"summary": "How each relay is"}},
    "/api/openapi.json": {"get": {"summary": "This description"}},
    "/metrics": {"get": {"summary": "Prometheus text format"}},
    "/healthz": {"get": {"summary": "Whether the books process is alive; needs no token"}},
    "/readyz": {"get": {"summary": "Whether relays, journals and ledger are well; 503 with reasons if not"}},
}
"""Every route of the admin port, by path and method."""


def document() -> dict[str, Any]:
    """The whole description."""
    (record,), definitions = msgspec.json.schema_components([CallRecord], ref_template="#/components/schemas/{name}")
    sums = {name: {"type": ["string", "null"] if name in ("cost", "currency") else "integer"} for name in SUMS}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tokenweir admin API", "version": __version__},
        "paths": {path: {verb: _operation(path, one) for verb, one in verbs.items()} for path, verbs in PATHS.items()},
        "components": {
            "schemas": {**definitions, "UsageRow": {"type": "object", "properties": sums}},
            "securitySchemes": {"admin": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"admin": []}, {}],
        "x-record": record,
    }


def _operation(path: str, operation: dict[str, Any]) -> dict[str, Any]:
    parameters = [{"name": name, "in": "query", **_PARAMETERS[name]} for name in operation.get("parameters", [])]
    if "{call_id}" in path:
        parameters.append({"name": "call_id", "in": "path", "required": True, "schema": {"type": "string"}})
    described: dict[str, Any] = {
        "summary": operation["summary"],
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}, "default": {"description": "`{\"error\": {\"message\", \"code\"}}`"}},
    }
    if path == "/api/query":
        properties = {"kql": {"type": "string"}, "sql": {"type": "string"}}
        described["requestBody"] = {"content": {"application/json": {"schema": {"properties": properties}}}}
    return described
