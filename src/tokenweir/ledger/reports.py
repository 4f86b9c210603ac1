"""Named questions. Each is a file in two dialects, ``.sql`` and ``.kql``, that return the same columns."""

from importlib.resources import files
from typing import Literal

from ..errors import QueryError
from .parsing import unknown_name

__all__ = ["Dialect", "report", "report_names"]

Dialect = Literal["sql", "kql"]

_QUERIES = files(__package__).joinpath("queries")


def report_names() -> list[str]:
    """The named reports, sorted."""
    return sorted(file.name.removesuffix(".sql") for file in _QUERIES.iterdir() if file.name.endswith(".sql"))


def report(name: str, dialect: Dialect) -> str:
    """The text of a report, to be run with `Ledger.query_sql` or `Ledger.query_kql`."""
    names = report_names()
    if name not in names:
        raise QueryError(unknown_name("report", name, names))
    return _QUERIES.joinpath(f"{name}.{dialect}").read_text()
