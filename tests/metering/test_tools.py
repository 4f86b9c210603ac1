"""How tools are rendered, and how much of a rendering is ever made."""

from typing import Any

from tokenweir.metering.counter import Counter
from tokenweir.metering.tools import _namespace, tool_tokens

ADDRESS = {
    "type": "object",
    "properties": {"street": {"type": "string", "description": "Street and number"}, "zip": {"type": "integer"}},
    "required": ["street"],
}
BOOK_TABLE = {
    "name": "book_table",
    "description": "Books a table.",
    "parameters": {
        "title": "book_args",
        "type": "object",
        "properties": {
            "guests": {"title": "Guests", "type": "integer", "description": "How many", "default": 2},
            "mood": {"enum": ["calm", "loud"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "at": {"type": ["string", "null"], "default": None},
            "where": {"$ref": "#/$defs/Address"},
            "either": {"anyOf": [{"type": "number"}, {"type": "boolean"}]},
            "anything": {},
        },
        "required": ["guests", "where"],
        "$defs": {"Address": ADDRESS},
    },
}
RENDERED = """\
namespace functions {

// Books a table.
// book_args
type book_table = (_: {
// Guests
// How many
guests: number, // default: 2
mood?: "calm" | "loud",
tags?: string[],
at?: string | null, // default: null
where: {
  // Street and number
  street: string,
  zip?: number,
},
either?: number | boolean,
anything?: any,
}) => any;

type ping = () => any;

} // namespace functions"""


def tokens(request: dict[str, Any], model: str = "gpt-4o") -> int:
    return tool_tokens(request, model, Counter(model))


def test_definitions_are_rendered_as_typescript() -> None:
    assert "\n".join(_namespace([BOOK_TABLE, {"name": "ping"}])) == RENDERED


def test_no_tools_cost_nothing() -> None:
    assert tokens({}) == tokens({"tools": []}) == tokens({"tools": [{"type": "custom"}, "?"], "functions": {}}) == 0


def test_a_first_parameter_without_comment_costs_one_less() -> None:
    bare = {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}
    namespace = Counter("gpt-4o").count("\n".join(_namespace([bare])))
    assert tokens({"functions": [bare]}) == namespace + 9 - 1


def test_a_forced_tool_costs_its_name_and_four() -> None:
    request: dict[str, Any] = {"tools": [{"type": "function", "function": BOOK_TABLE}]}
    choice = {"type": "function", "function": {"name": "book_table"}}
    forced = Counter("gpt-4o").count("book_table") + 4
    assert tokens(request | {"tool_choice": choice}) == tokens(request) + forced
    assert tokens({"functions": [BOOK_TABLE], "function_call": {"name": "book_table"}}) == tokens(request) + forced
    assert tokens(request | {"tool_choice": "auto"}) == tokens(request)


def test_forbidding_parallel_calls_costs_three() -> None:
    request: dict[str, Any] = {"functions": [BOOK_TABLE]}
    assert tokens(request | {"parallel_tool_calls": False}) == tokens(request) + 3
    assert tokens(request | {"parallel_tool_calls": True}) == tokens(request)


def test_each_line_of_a_description_is_a_comment() -> None:
    described = {"name": "f", "description": "  Adds.\n\n    Args:\n        a: one\n"}
    assert "\n".join(_namespace([described])).split("\n")[2:6] == [
        "// Adds.",
        "// Args:",
        "// a: one",
        "type f = () => any;",
    ]
    endless = {"name": "f", "description": "x\n" * 1_000_000}
    assert sum(map(len, _namespace([endless]))) < 2_000_000


def test_gpt_5_has_a_preamble_and_no_price_for_forcing() -> None:
    request = {"functions": [BOOK_TABLE], "function_call": {"name": "book_table"}}
    assert tokens(request, "gpt-5-mini") == tokens({"functions": [BOOK_TABLE]}) + 81


def test_definitions_that_refer_to_themselves_come_to_an_end() -> None:
    members = {f"m{number}": {"$ref": "#"} for number in range(50)}
    forest = {"name": "forest", "parameters": {"type": "object", "properties": members}}
    looping: dict[str, Any] = {"name": "loop", "parameters": {"properties": {"a": {"$ref": "#/properties/a"}}}}
    either = {"name": "either", "parameters": {"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}] * 50}}}}
    long = {"type": "string", "description": "d" * 100_000, "enum": ["e" * 100_000] * 100}
    copies = {
        "name": "copies",
        "parameters": {"properties": {str(n): {"$ref": "#/$defs/long"} for n in range(100)}, "$defs": {"long": long}},
    }
    wide = {"name": "wide", "parameters": {"properties": {"a": {"$ref": "#/$defs/wide"}}, "$defs": {"wide": {
        "type": "object",
        "properties": {str(n): {"$ref": "#/$defs/wide"} if n % 2 else None for n in range(1_000)},
        "required": [str(n) for n in range(5_000)],
    }}}}  # fmt: skip
    for definitions in ([forest], [looping], [either], [copies], [wide], [forest, looping, either, copies, wide]):
        assert 80 < len("\n".join(_namespace(definitions))) < 2_500_000
