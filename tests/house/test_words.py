"""What people read is written for people: no Python in messages and logs."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tokenweir.errors import quoted

SOURCE = Path(__file__).resolve().parents[2] / "src/tokenweir"
REPR = ord("r")


def told(tree: ast.AST) -> Iterator[ast.AST]:
    """Everything but the inside of ``__repr__``, which debuggers read, and of what can never happen."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__repr__":
            continue
        if isinstance(node, ast.Raise) and "AssertionError" in ast.dump(node):
            continue
        yield node
        yield from told(node)


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE)))
def test_no_message_shows_how_python_writes_a_value(file: Path) -> None:
    for node in told(ast.parse(file.read_text("utf-8"))):
        where = f"{file.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.FormattedValue):
            assert node.conversion != REPR, f"{where}: use errors.quoted for a text, and str for what is ours"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_log(node.func.value):
            assert not any("%r" in str(getattr(given, "value", "")) for given in node.args), f"{where}: use %s"


def _is_log(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("_log", "log", "logger", "logging")


def test_a_text_is_shown_in_quotes_on_one_line() -> None:
    assert quoted("it's") == "'it's'"
    assert quoted("a\nb\x1b[31m\ud800") == "'a\\nb\\x1b[31m\\ud800'"
    assert quoted("Zürich") == "'Zürich'"


@given(st.text())
def test_nothing_in_it_is_obeyed_by_a_terminal(text: str) -> None:
    assert quoted(text).isprintable()
