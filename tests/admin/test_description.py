"""The OpenAPI document describes the routes that there are, and their answers as they are."""

from typing import Any

import msgspec
import pytest
from starlette.routing import Route

from tokenweir.admin import PATHS, document
from tokenweir.delivery import SinkStatus
from tokenweir.limits import LimitState
from tokenweir.records import FlatRecord


def resolve(schema: Any) -> dict[str, Any]:
    """A schema, or what it refers to."""
    if "$ref" not in schema:
        return dict(schema)
    found: Any = document()
    for step in schema["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if "$ref" in part else []
        return own + [ref for value in part.values() for ref in references(value)]
    return [ref for value in part for ref in references(value)] if isinstance(part, list) else []


def answer_schema(path: str, verb: str = "get") -> dict[str, Any]:
    content = document()["paths"][path][verb]["responses"]["200"]["content"]
    return resolve(content["application/json"]["schema"])


def test_every_route_is_described_and_nothing_else(gateway: Any) -> None:
    routes = {
        (route.path, method.lower())
        for route in gateway.app().routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {(path, verb) for path, verbs in document()["paths"].items() for verb in verbs}
    assert described == routes


def test_the_document_is_served(gateway: Any) -> None:
    assert gateway.ask("/api/openapi.json").json() == msgspec.to_builtins(document())
    assert document()["openapi"] == "3.1.0"


def test_everything_referred_to_is_there() -> None:
    assert len(references(document())) > 10
    for reference in references(document()):
        assert resolve({"$ref": reference})


@pytest.mark.parametrize("path", PATHS)
def test_parameters_are_those_that_the_route_takes(gateway: Any, make_relay: Any, path: str) -> None:
    gateway.relays = [make_relay()]
    for operation in (one for verb, one in document()["paths"][path].items() if verb == "get"):
        for parameter in operation["parameters"]:
            assert parameter["description"] if parameter["in"] == "query" else parameter["required"]
            if parameter["in"] == "query":
                schema = parameter["schema"]
                (value, *_) = schema.get("enum", schema.get("examples", [schema.get("default", "2026-03-01")]))
                answer = gateway.ask(path, params={parameter["name"]: value}, headers={"api-key": "key-of-ada"})
                assert answer.status_code == 200


def test_calls_have_the_fields_that_are_described(gateway: Any) -> None:
    described = resolve(answer_schema("/api/calls")["items"])
    (call, *_) = gateway.ask("/api/calls").json()
    assert set(call) <= set(described["properties"]) == set(FlatRecord.__struct_fields__)
    assert set(gateway.ask("/api/calls/call-1").json()) == set(described["properties"])
    assert resolve(answer_schema("/api/calls/{call_id}")) == described


def test_usage_rows_have_the_fields_that_are_described(gateway: Any) -> None:
    described = resolve(answer_schema("/api/usage")["items"])
    (row, *_) = gateway.ask("/api/usage").json()
    assert set(row) - {"caller"} == set(described["properties"]) == set(described["required"])


def test_the_rest_has_the_fields_that_are_described(gateway: Any, make_relay: Any) -> None:
    gateway.relays = [make_relay()]
    table = gateway.ask("/api/query", "POST", json={"sql": "SELECT 1"}).json()
    assert set(table) == set(answer_schema("/api/query", "post")["properties"])
    (relay,) = gateway.ask("/api/relays").json()
    assert set(relay) == set(resolve(answer_schema("/api/relays")["items"])["properties"])
    gateway.sinks = [SinkStatus(name="hub", kind="file")]
    (of_relay,) = gateway.ask("/api/targets").json()
    assert set(of_relay) == set(resolve(answer_schema("/api/targets")["items"])["properties"])

    gateway.limits = [LimitState("caller a", "tokens_per_day", "", "100", "30", "70", None, None)]
    (limit,) = gateway.ask("/api/limits").json()
    assert set(limit) == set(resolve(answer_schema("/api/limits")["items"])["properties"])
    (sink,) = gateway.ask("/api/sinks").json()
    assert set(sink) == set(resolve(answer_schema("/api/sinks")["items"])["properties"])
    checks = gateway.ask("/readyz").json()["checks"]
    assert set(checks[0]) == set(resolve(answer_schema("/readyz")["properties"]["checks"]["items"])["properties"])
    error = gateway.ask("/api/nowhere").json()
    assert set(error["error"]) == set(
        resolve({"$ref": "#/components/schemas/Error"})["properties"]["error"]["properties"]
    )
