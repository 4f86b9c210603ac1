"""The description of the admin API (OpenAPI 3.1). Routes and parameters stand in one table each, which the
application reads, too; fields come from the types themselves."""

import re
from typing import Any

import msgspec

from .. import __version__
from ..delivery import SinkStatus
from ..ledger import FILTERS, GROUPINGS, SUMS, TAG, UTC_ZONE, ClosedMonth, RatingRun, Table, Verification
from ..limits import LimitState
from ..records import FlatRecord
from ..records.meanings import column_meanings
from ..statements import MonthStatus, Rated, Statement, WantedCalls
from .health import Applied, Check, RelayStatus, RelayTargets

__all__ = [
    "APIS",
    "GROUP_RESOURCES",
    "GROUP_SERVICES",
    "LIST_DEBUG_CREDENTIALS",
    "LIST_TRACE",
    "MOST_CALLS",
    "OWN",
    "OWN_GROUPINGS",
    "PATHS",
    "SECRETS",
    "SERVICE",
    "SERVICES",
    "SUBSCRIPTIONS",
    "document",
]

MOST_CALLS = 10_000

SERVICES = "/subscriptions/{subscription}/providers/Microsoft.ApiManagement/service"
GROUP_RESOURCES = "/subscriptions/{subscription}/resourceGroups/{group}/resources"
GROUP_SERVICES = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ApiManagement/service"
SERVICE = f"{GROUP_SERVICES}/{{service}}"
APIS = f"{SERVICE}/apis"
SUBSCRIPTIONS = f"{SERVICE}/subscriptions"
SECRETS = f"{SUBSCRIPTIONS}/{{caller}}/listSecrets"
_GATEWAY = f"{SERVICE}/gateways/managed"
LIST_DEBUG_CREDENTIALS = f"{_GATEWAY}/listDebugCredentials"
LIST_TRACE = f"{_GATEWAY}/listTrace"

OWN = "/tokenweir/"
"""Below it callers ask with their own keys."""

OWN_GROUPINGS = ("day", "hour", "month", "deployment", "model", "api", "operation", "key_id", "subject", "tier")
"""What a caller may sum by: nothing that tells of other callers, or of how the gateway is built."""

_PLACES = re.compile(r"\{(\w+)\}")

_MOMENT = "How long ago (`90m`, `24h`, `7d`), a date or an ISO 8601 time."

_PARAMETERS: dict[str, dict[str, Any]] = {
    "limit": {
        "description": "How many, newest first.",
        "schema": {"type": "integer", "default": 50, "minimum": 1, "maximum": MOST_CALLS},
    },
    "caller": {"description": "Only this caller's.", "schema": {"type": "string"}},
    "since": {"description": f"From then on. {_MOMENT}", "schema": {"type": "string"}},
    "until": {"description": f"Before then. {_MOMENT}", "schema": {"type": "string"}},
    "api-version": {
        "description": "Any version of API Management's.",
        "schema": {"type": "string", "default": "2023-05-01-preview"},
    },
    "exclude": {
        "description": "What not to look at: the ledger, whose outages no call notices.",
        "schema": {"enum": ["ledger"]},
    },
    "by": {
        "description": f"What to sum by, comma-separated: {', '.join(GROUPINGS)}, `tag:<name>`.",
        "schema": {"type": "string", "default": "caller"},
    },
    "head": {
        "description": "The digest of a seal that has to be there.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
    "timezone": {
        "description": "Whose days, hours and months are meant, in `by` and in dates without an offset.",
        "schema": {"type": "string", "default": UTC_ZONE, "examples": ["Europe/Berlin"]},
    },
    TAG: {
        "description": "Only calls with this tag, as `tag:<name>=<value>`; as often as wanted.",
        "schema": {"type": "string"},
    },
}
_PARAMETERS["month"] = {
    "description": "`this`, `last`, one like `2026-10`, or a fiscal period like `FY2027-P01`.",
    "schema": {"type": "string", "default": "this"},
}
_PARAMETERS["currency"] = {
    "description": "Into which amounts are converted, by the rates of `[[statements.rates]]`.",
    "schema": {"type": "string", "examples": ["EUR"]},
}
_PARAMETERS["status"] = {
    "description": "Only calls with this status.",
    "schema": {"type": "integer", "examples": [429]},
}
for _name in FILTERS:
    _PARAMETERS.setdefault(
        _name, {"description": "Only calls that have this there; empty: nothing.", "schema": {"type": "string"}}
    )


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _listed(summary: str) -> dict[str, Any]:
    properties = {"value": {"type": "array", "items": {"type": "object"}}, "count": {"type": "integer"}}
    return {"summary": summary, "parameters": ["api-version"], "answer": {"type": "object", "properties": properties}}


def _list_of(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name)}


_OWN_BY = {
    "description": f"What to sum by, comma-separated: {', '.join(OWN_GROUPINGS)}.",
    "schema": {"type": "string", "default": "model"},
}

PATHS: dict[str, dict[str, dict[str, Any]]] = {
    "/api/calls": {
        "get": {
            "summary": "The newest calls, without bodies",
            "parameters": ["limit", "caller", "since", "until"],
            "answer": _list_of("CallRecord"),
        }
    },
    "/api/calls/{call_id}": {
        "get": {"summary": "One call, with its bodies where they are kept", "answer": _ref("CallRecord")}
    },
    "/api/usage": {
        "get": {
            "summary": "Sums by caller, model, day…",
            "parameters": ["by", "since", "until", "timezone", *FILTERS, TAG],
            "answer": _list_of("UsageRow"),
        }
    },
    "/tokenweir/usage": {
        "get": {
            "summary": "What the caller has used whose key is given; by default this month",
            "parameters": ["by", "since", "until", "timezone"],
            "described": {"by": _OWN_BY},
            "answer": _ref("OwnUsageAnswer"),
        }
    },
    "/tokenweir/calls/{call_id}": {
        "get": {"summary": "One call of the caller whose key is given, and what it cost", "answer": {"type": "object"}}
    },
    "/api/verify": {
        "get": {
            "summary": "Whether the ledger holds what it was given, of the calls of a time; each of them is read",
            "parameters": ["since", "until", "timezone", "head"],
            "answer": _ref("Verification"),
        }
    },
    "/api/query": {
        "post": {
            "summary": 'One read-only query: `{"kql": …}` or `{"sql": …}`',
            "body": _ref("Query"),
            "answer": _ref("Table"),
        }
    },
    "/api/export": {
        "post": {
            "summary": (
                "All rows of one query, as lines of JSON: its columns and their kinds; lists of rows; at the end, how "
                "many there were, or what went wrong"
            ),
            "body": _ref("Query"),
        }
    },
    "/api/statement": {
        "get": {
            "summary": "A month's statement: groups with their lines, which add up to the cent",
            "parameters": ["month", "by", "currency"],
            "answer": _ref("Statement"),
        }
    },
    "/api/months": {"get": {"summary": "Closed months, and those that are not", "answer": _list_of("MonthStatus")}},
    "/api/months/close": {
        "post": {
            "summary": "Close a month that is over; its statement never changes from then on",
            "body": _ref("MonthToClose"),
            "answer": _ref("ClosedMonth"),
        }
    },
    "/api/months/{month}/verify": {
        "get": {
            "summary": "Whether the rows of a closed month are those that were kept: `wrong` says why not",
            "answer": {"type": "object", "properties": {"wrong": {"type": ["string", "null"]}}, "required": ["wrong"]},
        }
    },
    "/api/rerate": {
        "post": {
            "summary": (
                "Rate calls anew, as lines of JSON: how many were looked at; at the end `rated`, or what went wrong. "
                "With `keep` it can be booked afterwards"
            ),
            "body": {
                "type": "object",
                "properties": {"wanted": _ref("WantedCalls"), "keep": {"type": "boolean", "default": False}},
                "required": ["wanted"],
                "additionalProperties": False,
            },
        }
    },
    "/api/rerate/book": {
        "post": {
            "summary": "Book what was found, all of it at once",
            "body": _ref("Booking"),
            "answer": _ref("RatingRun"),
        }
    },
    "/api/rerate/discard": {
        "post": {"summary": "Forget what was found", "body": _ref("Booking"), "answer": {"type": "object"}}
    },
    "/api/relays": {"get": {"summary": "How each relay is", "answer": _list_of("RelayStatus")}},
    "/api/targets": {
        "get": {
            "summary": "How the targets of deployments are, as each relay has found: weight, breaker, calls",
            "answer": _list_of("RelayTargets"),
        }
    },
    "/api/limits": {
        "get": {
            "summary": "What is used and what is left of each limit, and which are other ones for a while, and why",
            "answer": _list_of("LimitState"),
        }
    },
    "/api/sinks": {"get": {"summary": "How each sink is", "answer": _list_of("SinkStatus")}},
    "/api/config": {
        "get": {
            "summary": "The configuration in force as TOML, secrets masked, and which relays run with it",
            "answer": _ref("ConfigAnswer"),
        }
    },
    "/api/keys": {
        "get": {"summary": "All keys, without hashes, and which relays have them in force", "answer": _ref("Keys")},
        "post": {
            "summary": "Make a key, which is shown this once; answered when it is in force, or after five seconds",
            "body": _ref("KeyWanted"),
            "status": "201",
            "answer": _ref("KeyMade"),
        },
    },
    "/api/keys/{key_id}/rotate": {
        "post": {
            "summary": "Make a key in the place of one, which expires after `overlap`; answered as `POST /api/keys`",
            "body": _ref("KeyRotation"),
            "status": "201",
            "answer": _ref("KeyRotated"),
        }
    },
    "/api/keys/{key_id}/revoke": {
        "post": {
            "summary": "Revoke a key; answered when it is refused everywhere, or after five seconds",
            "answer": _ref("KeyChanged"),
        }
    },
    "/api/keys/{key_id}/suspend": {
        "post": {"summary": "Refuse a key until it is resumed; answered likewise", "answer": _ref("KeyChanged")}
    },
    "/api/keys/{key_id}/resume": {
        "post": {"summary": "Take a suspension back; answered likewise", "answer": _ref("KeyChanged")}
    },
    "/api/import": {
        "post": {
            "summary": "Write down calls that came another way, each once by its id; how many were new",
            "body": {"type": "object", "properties": {"records": _list_of("CallRecord")}, "required": ["records"]},
            "answer": {"type": "object", "properties": {"new": {"type": "integer"}}, "required": ["new"]},
        }
    },
    "/api/erase": {
        "post": {
            "summary": "Forget a caller or a subject: contents and identity go, amounts stay; answered when it is done",
            "body": {
                "type": "object",
                "properties": {"caller": {"type": "string"}, "subject": {"type": "string"}},
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
            },
            "answer": {"type": "object"},
        }
    },
    "/api/openapi.json": {"get": {"summary": "This description", "answer": {"type": "object"}}},
    SERVICES: {"get": _listed("This gateway, as API Management's service")},
    GROUP_RESOURCES: {"get": _listed("The same, as a resource of the group")},
    GROUP_SERVICES: {"get": _listed("The same, as a service of the group")},
    SERVICE: {
        "get": {
            "summary": "This gateway as API Management's service, with the data port as its `gatewayUrl`",
            "parameters": ["api-version"],
            "answer": {"type": "object"},
        }
    },
    APIS: {"get": _listed("The service's one API")},
    SUBSCRIPTIONS: {"get": _listed("The callers, as subscriptions; `master` is the first")},
    SECRETS: {
        "post": {
            "summary": "The key of `tracing.subscription_key_env`; nothing without it, as keys are kept as hashes",
            "parameters": ["api-version"],
            "answer": {
                "type": "object",
                "properties": {"primaryKey": {"type": "string"}, "secondaryKey": {"type": "string"}},
            },
        }
    },
    LIST_DEBUG_CREDENTIALS: {
        "post": {
            "summary": "A debug token for `Apim-Debug-Authorization`, as API Management issues them",
            "parameters": ["api-version"],
            "body": _ref("DebugCredentials"),
            "answer": {"type": "object", "properties": {"token": {"type": "string"}}, "required": ["token"]},
        }
    },
    LIST_TRACE: {
        "post": {
            "summary": "What happened to a call, step by step, as API Management tells it",
            "parameters": ["api-version"],
            "body": {"type": "object", "properties": {"traceId": {"type": "string"}}, "required": ["traceId"]},
            "answer": _ref("ApimTrace"),
        }
    },
    "/metrics": {"get": {"summary": "Prometheus text format"}},
    "/healthz": {
        "get": {"summary": "Whether the books process is alive; needs no token", "answer": {"type": "object"}}
    },
    "/readyz": {
        "get": {
            "summary": "Whether relays, journals and ledger are well; 503 if not. Without the token, without reasons",
            "parameters": ["exclude"],
            "answer": {"type": "object", "properties": {"checks": _list_of("Check")}, "required": ["checks"]},
        }
    },
}
"""Every route of the admin port, by path and method. ``answer`` is a schema; without one it is plain text."""

_SECTIONS = ["inbound", "backend", "outbound"]

_ERROR = {
    "type": "object",
    "properties": {"message": {"type": "string"}, "code": {"type": "string"}},
    "required": ["message", "code"],
}

_KEY = {
    "type": "object",
    "properties": {
        "key_id": {"type": "string"},
        "caller": {"type": "string"},
        "created_at": {"type": "string", "format": "date-time"},
        "revoked_at": {"type": ["string", "null"], "format": "date-time"},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "groups": {"type": "array", "items": {"type": "string"}},
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
        "suspended_at": {"type": ["string", "null"], "format": "date-time"},
        "replaces": {"type": ["string", "null"], "description": "The key that it was rotated from."},
    },
    "required": ["key_id", "caller", "created_at", "revoked_at", "tags", "groups", "expires_at", "suspended_at"],
}
_EXPIRES = {"type": "string", "description": "`90d` from now, or a day or a moment (ISO 8601)."}
_KEYS: dict[str, Any] = {
    "type": "object",
    "properties": {"file": {"type": "string"}, "relays": _list_of("Applied")},
    "required": ["file", "relays"],
}

_SCHEMAS: dict[str, Any] = {
    "Error": {"type": "object", "properties": {"error": _ERROR}, "required": ["error"]},
    "Query": {
        "type": "object",
        "properties": {"kql": {"type": "string"}, "sql": {"type": "string"}},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    },
    "DebugCredentials": {
        "type": "object",
        "properties": {
            "apiId": {"type": "string", "description": "Ends in `/apis/` and the name in `[tracing] api`."},
            "purposes": {"type": "array", "items": {"enum": ["tracing"]}, "minItems": 1, "maxItems": 1},
            "credentialsExpireAfter": {"type": "string", "format": "duration", "default": "PT1H"},
        },
        "required": ["apiId", "purposes"],
    },
    "ApimTrace": {
        "type": "object",
        "properties": {
            "traceId": {"type": "string"},
            "traceEntries": {
                "type": "object",
                "properties": {section: {"type": "array", "items": _ref("ApimTraceEntry")} for section in _SECTIONS},
                "required": _SECTIONS,
            },
        },
        "required": ["traceId", "traceEntries"],
    },
    "ApimTraceEntry": {
        "type": "object",
        "properties": {
            "source": {"type": "string"},
            "timestamp": {"type": "string", "format": "date-time"},
            "elapsed": {"type": "string", "description": "Since the call came, `hh:mm:ss.fffffff`."},
            "data": {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]},
        },
        "required": ["source", "timestamp", "elapsed", "data"],
    },
    "ConfigAnswer": {
        "type": "object",
        "properties": {
            "source": {"type": ["string", "null"]},
            "lines": {"type": "array", "items": {"type": "string"}},
            "relays": _list_of("Applied"),
        },
        "required": ["source", "lines", "relays"],
    },
    "KeyWanted": {
        "type": "object",
        "properties": {
            "caller": {"type": "string"},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "groups": {"type": "array", "items": {"type": "string"}},
            "expires": _EXPIRES,
        },
        "required": ["caller"],
        "additionalProperties": False,
    },
    "KeyRotation": {
        "type": "object",
        "properties": {"overlap": {"type": "string", "default": "24h"}, "expires": _EXPIRES},
        "additionalProperties": False,
    },
    "MonthToClose": {
        "type": "object",
        "properties": {"month": {"type": "string"}, "by": {"type": "string"}},
        "required": ["month", "by"],
        "additionalProperties": False,
    },
    "Booking": {
        "type": "object",
        "properties": {"rated": _ref("Rated"), "by": {"type": "string"}},
        "required": ["rated", "by"],
        "additionalProperties": False,
    },
    "Keys": _KEYS | {"properties": _KEYS["properties"] | {"keys": {"type": "array", "items": _KEY}}},
    "KeyMade": _KEYS | {"properties": _KEYS["properties"] | {"key": {"type": "string"}, "stored": _KEY}},
    "KeyRotated": _KEYS
    | {"properties": _KEYS["properties"] | {"key": {"type": "string"}, "stored": _KEY, "replaced": _KEY}},
    "KeyChanged": _KEYS | {"properties": _KEYS["properties"] | {"stored": _KEY}},
    "OwnUsageAnswer": {
        "type": "object",
        "properties": {
            "caller": {"type": "string"},
            "as_of": {"type": "string", "format": "date-time"},
            "since": {"type": "string", "format": "date-time"},
            "until": {"type": ["string", "null"], "format": "date-time"},
            "timezone": {"type": "string"},
            "rows": _list_of("UsageRow"),
        },
        "required": ["caller", "as_of", "since", "until", "timezone", "rows"],
    },
    "UsageRow": {
        "description": "The groups asked for, then sums.",
        "type": "object",
        "properties": {
            name: {"type": ["string", "null"] if name in ("cost", "currency") else "integer"} for name in SUMS
        }
        | {"quantities": {"type": "object", "additionalProperties": {"type": ["string", "integer"]}}},
        "required": [*SUMS, "quantities"],
        "additionalProperties": {"type": ["string", "integer", "null"]},
    },
}


_ACCOUNTS = [Statement, MonthStatus, ClosedMonth, WantedCalls, Rated, RatingRun]


def document() -> dict[str, Any]:
    """The whole description."""
    _, definitions = msgspec.json.schema_components(
        [
            FlatRecord,
            Table,
            Verification,
            RelayStatus,
            RelayTargets,
            SinkStatus,
            Check,
            Applied,
            LimitState,
            *_ACCOUNTS,
        ],
        ref_template="#/components/schemas/{name}",
    )
    for name, meaning in column_meanings().items():
        definitions["CallRecord"]["properties"][name]["description"] = meaning
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tokenweir admin API", "version": __version__},
        "paths": {path: {verb: _operation(path, one) for verb, one in verbs.items()} for path, verbs in PATHS.items()},
        "components": {
            "schemas": {**definitions, **_SCHEMAS},
            "securitySchemes": {
                "admin": {"type": "http", "scheme": "bearer"},
                "caller": {"type": "apiKey", "in": "header", "name": "api-key"},
            },
        },
        "security": [{"admin": []}],
    }


def _operation(path: str, operation: dict[str, Any]) -> dict[str, Any]:
    meanings = _PARAMETERS | operation.get("described", {})
    parameters = [{"name": name, "in": "query", **meanings[name]} for name in operation.get("parameters", [])]
    places = _PLACES.findall(path)
    parameters += [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in places]
    answer = {"application/json": {"schema": operation["answer"]}} if "answer" in operation else {"text/plain": {}}
    described: dict[str, Any] = {
        "summary": operation["summary"],
        "parameters": parameters,
        "responses": {
            operation.get("status", "200"): {"description": "OK", "content": answer},
            "default": {"description": "Why not", "content": {"application/json": {"schema": _ref("Error")}}},
        },
    }
    if "body" in operation:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation["body"]}}}
    if path in ("/healthz", "/readyz"):
        described["security"] = []
    if path.startswith(OWN):
        described["security"] = [{"caller": []}]
    if path == "/readyz":
        described["responses"]["503"] = {"description": "Not well", "content": answer}
    return described
