"""What the docstrings under fields say, for the references that are made of them."""

import ast
import inspect
import textwrap

import msgspec

from .call import CallRecord, Usage
from .columns import COLUMNS
from .quantities import QUANTITIES

__all__ = ["column_meanings", "meanings", "quantities_table", "record_table"]


def meanings(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The docstring under each of a struct's fields, on one line, also of those that it inherits. Absent where a field
    has none."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            found |= _meanings_in(base)
    return found


def _meanings_in(kind: type[msgspec.Struct]) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for before, statement in zip(body.body, body.body[1:], strict=False):
        match before, statement:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split()).replace("``", "`")
    return found


def column_meanings() -> dict[str, str]:
    """What is said of each of a record's columns, as Markdown."""
    said = meanings(CallRecord) | {f"usage.{name}": text for name, text in meanings(Usage).items()}
    return {column.name: said[column.path] for column in COLUMNS}


def record_table() -> str:
    """The table in ``docs/reference/record.md``."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in column_meanings().items()]
    return "\n".join(["| field | meaning |", "|---|---|", *rows])


def quantities_table() -> str:
    """The table in ``docs/reference/quantities.md``."""
    rows = [f"| `{name}` | {one.unit} | {one.meaning} |" for name, one in QUANTITIES.items()]
    return "\n".join(["| quantity | unit | what it counts |", "|---|---|---|", *rows])
