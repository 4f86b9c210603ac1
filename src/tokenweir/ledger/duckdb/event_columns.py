"""``customEvents`` in KQL at the price of columns.

The view makes a JSON object of every call, and a query takes it apart again: eighty times the work of reading two
columns. So the translated statement is rewritten, as a tree:

1. The view gets a column beside ``customDimensions`` for each property that the query reads, as text, and as a number
   where the query converts it. They go along wherever ``customDimensions`` is listed.
2. ``customDimensions.X``, and ``tostring``, ``tolong``, ``toint`` and ``todouble`` of it, read these columns; so do
   columns that are nothing but a property (``extend t = tokens.X``). ``customDimensions`` stays for whatever else
   reads it, and is not made where nothing does.
3. ``summarize arg_max(timestamp, customDimensions) by …TokenInfoId`` keeps the newest of a call's events. In a ledger
   a call has one, so nothing has to be sorted out.

A statement of another shape, or one that no longer binds when it is rewritten, runs as it was translated.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import duckdb
import msgspec
from duckdb import DuckDBPyConnection

from ...records import CUSTOM_EVENT_PROPERTIES
from ..custom_events import event_expressions, view_select
from .dialect import DuckDBDialect
from .kusto_texts import SCHEMA
from .syntax_tree import Node, Tables, arguments, column, column_name, nodes, selects, statement_of, tree_of

__all__ = ["with_columns"]

_VIEW = "customEvents"
_OBJECT = "customDimensions"
_CALLS = f"{SCHEMA}.calls"
# A name in KQL has no dollar sign, so no query can mean one of these.
_PREFIX = "property$"
_TO_TEXT = "kql$tostring"
_NAME = r'"(?:[^"]|"")+"'
_CONVERSIONS: Final = {"BIGINT": "tolong", "INTEGER": "toint", "DOUBLE": "todouble"}
"""Type → what converts to it in KQL."""


class _Numbers(DuckDBDialect):
    """Numbers as numbers: what the view's texts are made of."""

    def whole_text(self, number: str) -> str:
        return f"CAST({number} AS BIGINT)"

    def money_text(self, amount: str) -> str:
        return f"CAST({amount} AS DOUBLE)"


_TEXTS: Final = event_expressions(DuckDBDialect())
_NUMBERS: Final = {
    name: (expression, "DOUBLE" if expression.endswith("DOUBLE)") else "BIGINT")
    for name, expression in event_expressions(_Numbers()).items()
    if expression != _TEXTS[name]
}
"""Property → what it is as a number, and of which type."""


def with_columns(
    cursor: DuckDBPyConnection, statement: str, values: Mapping[str, Any], translate: Callable[[str], str]
) -> str:
    """The same query over columns; ``statement`` itself where that cannot be had.

    ``translate`` makes a statement of KQL, as it made this one; ``values`` are those of its parameters.
    """
    if f'"{_VIEW}"' not in statement or _TO_TEXT in statement:
        return statement
    try:
        wordings = _wordings(translate)
        rewriting = _Rewriting(cursor, tree_of(cursor, wordings.shorten(statement)), wordings)
        rewritten = wordings.restore(rewriting.run())
        cursor.sql(rewritten, params=dict(values) or None)  # binds it, and runs nothing
    except (LookupError, TypeError, duckdb.Error):
        return statement
    return rewritten


# --- how the translator writes conversions: at length, for whatever type a value may have ---


class _Wordings(msgspec.Struct, frozen=True):
    """The translator's words, asked of the translator."""

    conversions: dict[str, str]
    """Type → the body of the lambda that converts to it."""
    text_of: str
    """``tostring(Column)``."""
    newest: str
    """A statement that keeps the newest event of each call."""
    bin_of: str
    """``bin(Column, 3h)``, in floating point."""
    contains: str
    """What stands behind a text in ``… contains "Text"``."""

    def shorten(self, statement: str) -> str:
        """The same in fewer words, of which the engine makes less work: a body becomes the name of its type and
        ``tostring(Column)`` a call, both until `restore`; time is cut in whole numbers, plain text sought as it is."""
        for kind, body in self.conversions.items():
            statement = statement.replace(f"lambda _v: {body})", f"lambda _v: '{_TO_TEXT}:{kind}')")
        pattern = re.escape(self.text_of).replace('"Column"', f"({_NAME})", 1).replace('"Column"', r"\1")
        statement = re.sub(pattern, rf'"{_TO_TEXT}"(\1)', statement)
        bin_of = re.escape(self.bin_of).replace('"Column"', f"({_NAME})", 1).replace('"Column"', r"\1")
        bin_of = bin_of.replace("'3h'", "('[0-9.]+[dhms]')", 1).replace("'3h'", r"\2")
        statement = re.sub(bin_of, r"time_bucket(INTERVAL \2, \1, TIMESTAMP '1970-01-01')", statement)
        contains = re.escape(self.contains).replace("Text", "([A-Za-z0-9 .:@/-]+)")
        return re.sub(contains, r"ILIKE '%\1%'", statement)

    def restore(self, statement: str) -> str:
        for kind, body in self.conversions.items():
            statement = statement.replace(f"'{_TO_TEXT}:{kind}'", body)
        return re.sub(
            rf'"{re.escape(_TO_TEXT)}"\(({_NAME}|\w+)\)',
            lambda call: self.text_of.replace('"Column"', call[1]),
            statement,
        )


_asked: list[_Wordings] = []


def _wordings(translate: Callable[[str], str]) -> _Wordings:
    if not _asked:

        def projected(kql: str) -> str:
            """What ``x`` is, in a statement whose last step projects it alone."""
            return translate(f"{_VIEW} | {kql}").rpartition(" AS (SELECT ")[2].rpartition(' AS "x" FROM ')[0]

        bodies = {
            kind: projected(f"project x = {call}({_OBJECT}.P)").partition("lambda _v: ")[2].removesuffix(")[1]")
            for kind, call in _CONVERSIONS.items()
        }
        text_of = projected(f"extend Column = {_OBJECT}.P | project x = tostring(Column)")
        newest = translate(f"{_VIEW} | summarize arg_max(timestamp, {_OBJECT}) by x = tostring({_OBJECT}.TokenInfoId)")
        bin_of = projected("project Column = timestamp | project x = bin(Column, 3h)")
        contains = projected(f'project x = tostring({_OBJECT}.P) contains "Text"')
        contains = "ILIKE " + contains.partition(" ILIKE ")[2].partition(r" ESCAPE '\'")[0] + r" ESCAPE '\'"
        if not all([*bodies.values(), '"Column"' in text_of, '"Column"' in bin_of, "'Text'" in contains]):
            raise LookupError("the translator writes otherwise than it did")
        _asked.append(_Wordings(bodies, text_of, newest, bin_of, contains))
    return _asked[0]


# --- rewriting ---


class _Rewriting:
    """One statement on its way to columns. `LookupError` where there is nothing to be had or to be sure of."""

    def __init__(self, cursor: DuckDBPyConnection, tree: Node, wordings: _Wordings) -> None:
        self._cursor = cursor
        self._tree = tree
        self._newest: Node = tree_of(cursor, wordings.newest)["node"]["cte_map"]["map"][-1]["value"]["query_node"]
        self._objects = self._names_of_the_object()
        self._texts = _Texts(self._property, tree)
        self._columns: dict[str, str] = {}
        """Column → what it is of a row in ``calls``."""

    def run(self) -> str:
        for select, tables in selects(self._tree):
            self._keep_the_only_event(select, tables)
        self._tree = self._replace(self._tree)
        if not self._columns:
            raise LookupError("the query reads no property")
        self._carry()
        self._widen_the_view()
        text = statement_of(self._cursor, self._tree)
        return f"SELECT COLUMNS(lambda c: NOT starts_with(c, '{_PREFIX}')) FROM ({text})"

    # what names mean

    def _names_of_the_object(self) -> set[str]:
        """``customDimensions``, and what the query calls it besides: ``tokens = parse_json(customDimensions)``."""
        items = [item for select, _ in selects(self._tree) for item in select["select_list"] if item["alias"]]
        names = {_OBJECT, *(item["alias"] for item in items if _is_object(item))}
        newest = _unnamed(self._newest["select_list"][-1])
        for item in items:
            if item["alias"] in names and not _is_object(item) and _unnamed(item) != newest:
                raise LookupError(f"{item['alias']} means two things")
        return names

    def _property(self, node: Any) -> str | None:
        """``X`` of ``customDimensions.X``."""
        given = arguments(node, "json_extract")
        if len(given) != 2 or column_name(given[0]) not in self._objects:
            return None
        name = _constant(given[1]).removeprefix("$.")
        return name if name in CUSTOM_EVENT_PROPERTIES else None

    # what becomes of reads

    def _replace(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._replace(each) for each in node]
        if not isinstance(node, dict):
            return node
        read = self._read(node)
        if read is not None:
            return read | {"alias": node["alias"]}
        return {key: self._replace(value) for key, value in node.items()}

    def _read(self, node: Node) -> Node | None:
        kind, value = _converted(node)
        if kind is not None:
            name = self._property(value)
            if name is not None:
                return self._number(name, kind)
            name = self._texts.of(value)
            if name is None:
                return None
            return (
                self._number(name, kind) if self._texts.is_beside_object(value) else self._number_in(value, name, kind)
            )
        told = arguments(node, "->>")
        name = self._property(told[0]) if len(told) == 2 and _constant(told[1]) == "$" else None
        if name is not None:
            return column(self._text(name))
        told = arguments(node, _TO_TEXT)
        if told and (self._texts.of(told[0]) is not None or self._texts.is_converted(told[0])):
            return self._filled("coalesce(x, '')", told[0])
        name = self._property(node)
        if name is None:
            return None
        text = column(self._text(name))
        return text if self._texts.defines(node) else self._filled("to_json(x)", text)

    def _text(self, name: str) -> str:
        self._columns[_PREFIX + name] = _TEXTS[name]
        return _PREFIX + name

    def _number(self, name: str, kind: str) -> Node:
        """A property as a number of ``kind``."""
        expression, own_kind = _NUMBERS.get(name, ("", ""))
        if not expression or (own_kind == "DOUBLE" and kind != "DOUBLE"):
            return self._number_in(column(self._text(name)), name, kind)
        number = f"{_PREFIX}{name}$number"
        self._columns[number] = expression
        return column(number) if kind == own_kind else self._filled(f"TRY_CAST(x AS {kind})", column(number))

    def _number_in(self, text: Node, name: str, kind: str) -> Node:
        """The number that a property's text says, which for most need not be looked for digit by digit."""
        if kind == "DOUBLE" or _NUMBERS.get(name, ("", ""))[1] == "BIGINT":
            return self._filled(f"TRY_CAST(trim(x) AS {kind})" if kind == "DOUBLE" else f"TRY_CAST(x AS {kind})", text)
        digits = r"^\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*$"
        return self._filled(f"CASE WHEN regexp_matches(x, '{digits}') THEN TRY_CAST(trim(x) AS {kind}) END", text)

    def _filled(self, expression: str, value: Node) -> Node:
        """An expression in which ``value`` stands for ``x``."""

        def filled(tree: Any) -> Any:
            if column_name(tree) == "x":
                return _unnamed(value)
            if isinstance(tree, dict):
                return {key: filled(each) for key, each in tree.items()}
            return [filled(each) for each in tree] if isinstance(tree, list) else tree

        node: Node = filled(tree_of(self._cursor, f"SELECT {expression}")["node"]["select_list"][0])
        return node

    # the rest of the statement

    def _keep_the_only_event(self, select: Node, tables: Tables) -> None:
        """``arg_max`` over events of which each has an id of its own becomes the list of these events."""
        listed, newest = select["select_list"], self._newest["select_list"]
        own = ("select_list", "from_table", "cte_map")
        if (
            [_unnamed(item) for item in listed] == [_unnamed(item) for item in newest]
            and all(select[part] == self._newest[part] for part in select if part not in own)
            and _is_unaltered(select["from_table"], tables)
        ):
            select["select_list"] = [listed[0], *(column(item["alias"]) for item in listed[1:])]
            select["group_expressions"], select["group_sets"] = [], []

    def _carry(self) -> None:
        """Lists the new columns wherever the object is listed."""
        for select, _ in selects(self._tree):
            if any(column_name(item) in self._objects or _is_object(item) for item in select["select_list"]):
                select["select_list"].extend(column(name) for name in self._columns)

    def _widen_the_view(self) -> None:
        columns = ", ".join(f'{what} AS "{name}"' for name, what in self._columns.items())
        select = f"SELECT * FROM ({view_select(DuckDBDialect(), columns, _CALLS)})"
        wide = tree_of(self._cursor, select)["node"]["from_table"]
        for node in nodes(self._tree):
            if node.get("type") == "BASE_TABLE" and node["table_name"] == _VIEW:
                alias = node["alias"] or _VIEW
                node.clear()
                node.update(copy.deepcopy(wide), alias=alias)


class _Texts:
    """Columns that are one property, and of which the query asks nothing that a text has not: they are listed, grouped
    by and converted, but not compared, sorted or taken apart."""

    def __init__(self, property_of: Callable[[Any], str | None], tree: Node) -> None:
        self._property_of = property_of
        found = list(selects(tree))
        self._meant: dict[int, Node] = {}
        """What a column in the statement means: the item of a SELECT that made it, both by their identity."""
        self._converted: set[int] = set()
        self._beside: set[int] = set()
        for select, tables in found:
            for node in nodes(select, nested=False):
                name = column_name(node)
                item = _item(name, select["from_table"], tables) if name is not None else None
                if item is None:
                    continue
                if property_of(item) is not None:
                    self._meant[id(node)] = item
                    if _lists_object(select["from_table"], tables):
                        self._beside.add(id(node))
                elif arguments(item, _TO_TEXT):
                    self._converted.add(id(node))
        plain = {id(node) for select, _ in found for node in _plain_uses(select)}
        unlike = {id(item) for node, item in self._meant.items() if node not in plain}
        self._defined = {id(item) for item in self._meant.values()} - unlike
        self._tree = tree  # what is known by its identity has to stay

    def of(self, node: Any) -> str | None:
        """The property that a column is."""
        item = self._meant.get(id(node))
        return self._property_of(item) if item is not None and id(item) in self._defined else None

    def is_converted(self, node: Any) -> bool:
        """Whether a column is text because ``tostring`` made it."""
        return id(node) in self._converted

    def is_beside_object(self, node: Any) -> bool:
        """Whether what a column is read from has the object too, and with it the object's columns."""
        return id(node) in self._beside

    def defines(self, node: Node) -> bool:
        return id(node) in self._defined


def _item(name: str, table: Node, tables: Tables) -> Node | None:
    """The item of a SELECT's list that a column of ``table`` comes from; nothing where it is not sure."""
    if table.get("type") != "BASE_TABLE" or table["table_name"] not in tables:
        return None
    select, inside = tables[table["table_name"]]
    if select["type"] != "SELECT_NODE":
        return None
    for item in select["select_list"]:
        if item["alias"] == name and column_name(item) != name:
            return item if isinstance(item, dict) else None
    if any(column_name(item) == name or item["type"] == "STAR" for item in select["select_list"]):
        return _item(name, select["from_table"], inside)
    return None


def _lists_object(table: Node, tables: Tables) -> bool:
    if table.get("type") != "BASE_TABLE" or table["table_name"] not in tables:
        return bool(table.get("type") == "BASE_TABLE" and table["table_name"] == _VIEW)
    select, inside = tables[table["table_name"]]
    if select["type"] != "SELECT_NODE":
        return False
    if any(_is_object(item) for item in select["select_list"]):
        return True
    return select["select_list"][0]["type"] == "STAR" and _lists_object(select["from_table"], inside)


def _plain_uses(select: Node) -> Iterator[Node]:
    """The columns that a SELECT lists, groups by and converts."""
    for item in (*select["select_list"], *select["group_expressions"]):
        if item["alias"] in ("", column_name(item)):
            yield item
    for node in nodes(select, nested=False):
        kind, value = _converted(node)
        if kind is not None:
            yield value
        yield from arguments(node, _TO_TEXT)


def _is_unaltered(table: Node, tables: Tables) -> bool:
    """Whether a table is the view, or some of its rows, each of them once."""
    if table.get("type") != "BASE_TABLE":
        return False
    if table["table_name"] not in tables:
        return bool(table["table_name"] == _VIEW)
    select, inside = tables[table["table_name"]]
    return (
        select["type"] == "SELECT_NODE"
        and [item["type"] for item in select["select_list"]] == ["STAR"]
        and not select["group_expressions"]
        and _is_unaltered(select["from_table"], inside)
    )


def _is_object(node: Any) -> bool:
    """``customDimensions``, or ``parse_json`` of it, which is an object already."""
    if node.get("type") == "OPERATOR_CAST" and node["try_cast"] and node["type_expr"]["type_name"] == "JSON":
        node = node["child"]
    return column_name(node) == _OBJECT


def _converted(node: Any) -> tuple[str | None, Any]:
    """The type that a value is converted to, and the value: ``list_transform([value], lambda _v: …)[1]``."""
    if isinstance(node, dict) and node.get("type") == "ARRAY_EXTRACT":
        transform = arguments(node["children"][0], "list_transform")
        value = arguments(transform[0], "list_value") if len(transform) == 2 else []
        if len(value) == 1 and transform[1].get("class") == "LAMBDA":
            mark, _, kind = _constant(transform[1]["expr"]).partition(":")
            if mark == _TO_TEXT:
                return kind, value[0]
    return None, None


def _constant(node: Any) -> str:
    """A text constant; empty where a node is none."""
    if isinstance(node, dict) and node.get("class") == "CONSTANT" and node["literal"]["kind"] == "STRING":
        text: str = node["literal"]["text"]
        return text
    return ""


def _unnamed(node: Node) -> Node:
    return node | {"alias": ""}
