"""DuckDB's syntax trees of statements, as plain objects: read, walked, looked up in, and written again."""

from collections.abc import Iterator
from typing import Any

import msgspec
from duckdb import DuckDBPyConnection

__all__ = ["Node", "Tables", "arguments", "column", "column_name", "nodes", "selects", "statement_of", "tree_of"]

Node = dict[str, Any]


def tree_of(cursor: DuckDBPyConnection, statement: str) -> Node:
    """The tree of one SELECT, without what tells places in the text. `KeyError` if there is none."""
    rows = cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [statement]).fetchall()
    tree: Node = _placeless(msgspec.json.decode(rows[0][0])["statements"][0])
    return tree


def statement_of(cursor: DuckDBPyConnection, tree: Node) -> str:
    text = msgspec.json.encode({"error": False, "statements": [tree]}).decode()
    rows = cursor.execute("SELECT json_deserialize_sql(?::JSON)", [text]).fetchall()
    statement: str = rows[0][0]
    return statement


def _placeless(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _placeless(value) for key, value in tree.items() if not key.startswith("query_location")}
    return [_placeless(value) for value in tree] if isinstance(tree, list) else tree


class Tables(dict[str, tuple[Node, "Tables"]]):
    """What the names of a scope mean: a SELECT, and the scope inside it."""

    def within(self, select: Node) -> "Tables":
        """The scope inside a SELECT, with the names that its WITH gives."""
        inner = Tables(self)
        for entry in select["cte_map"]["map"]:
            query = entry["value"]["query_node"]
            inner[entry["key"]] = query, inner.within(query) if query["type"] == "SELECT_NODE" else Tables()
        return inner


def selects(tree: Any, tables: Tables | None = None) -> Iterator[tuple[Node, Tables]]:
    """Every SELECT of a tree, with the scope inside it; one that is read by another comes before it."""
    tables = Tables() if tables is None else tables
    if isinstance(tree, list):
        for each in tree:
            yield from selects(each, tables)
    elif isinstance(tree, dict):
        if tree.get("type") == "SELECT_NODE":
            outside, tables = tables, tables.within(tree)
            known = Tables(outside)
            for entry in tree["cte_map"]["map"]:
                yield from selects(entry["value"], known)
                known = Tables(known)
                known[entry["key"]] = tables[entry["key"]]
        for key, value in tree.items():
            if key != "cte_map":
                yield from selects(value, tables)
        if tree.get("type") == "SELECT_NODE":
            yield tree, tables


def nodes(tree: Any, *, nested: bool = True) -> Iterator[Node]:
    """Every node, in no order; unless ``nested``, none that belongs to a SELECT inside this one."""
    waiting = [tree]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            if not nested and found is not tree and found.get("type") == "SELECT_NODE":
                continue
            yield found
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)


def column(name: str, alias: str = "") -> Node:
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": alias, "column_names": [name]}


def column_name(node: Any) -> str | None:
    """The name of a column that is written without its table."""
    if isinstance(node, dict) and node.get("class") == "COLUMN_REF" and len(node["column_names"]) == 1:
        name: str = node["column_names"][0]
        return name
    return None


def arguments(node: Any, function: str) -> list[Any]:
    """What a call of ``function`` gets; nothing where a node is none."""
    if not isinstance(node, dict) or node.get("class") != "FUNCTION" or node["function_name"] != function:
        return []
    return [argument["expression"] for argument in node["arguments"]]
