"""Text as Kusto has it: one that is not there is the empty text, and never null.

In the ledger a text that is not there is NULL, as SQL has it. So a query in KQL reads tables of the same names whose
texts are all there: ``where error_code == ''`` finds the calls without an error, and their group is ``""``. Numbers,
moments, booleans and dynamic values may be null in Kusto too, and stay what they are.
"""

from duckdb import DuckDBPyConnection

__all__ = ["SCHEMA", "with_texts"]

SCHEMA = "main"
"""Where the tables are as the ledger keeps them: under their plain names a query finds the others."""

_TEXTS = (
    f"SELECT table_name, list(column_name) FROM duckdb_columns() WHERE schema_name = '{SCHEMA}' AND NOT internal "
    "AND data_type = 'VARCHAR' AND table_name IN (SELECT table_name FROM duckdb_tables()) GROUP BY ALL ORDER BY 1"
)


def with_texts(cursor: DuckDBPyConnection, statement: str) -> str:
    """The same statement over tables without NULL for a text."""
    tables = [(name, texts) for name, texts in cursor.execute(_TEXTS).fetchall() if f'"{name}"' in statement]
    if not tables:
        return statement
    # Not kept as tables of their own: the engine then looks at nothing but the columns and times that are asked for.
    known = ", ".join(f'"{name}" AS NOT MATERIALIZED ({_filled(name, texts)})' for name, texts in tables)
    if statement.startswith("WITH "):
        return f"WITH {known}, {statement.removeprefix('WITH ')}"
    return f"WITH {known} {statement}"


def _filled(table: str, texts: list[str]) -> str:
    replaced = ", ".join(f'coalesce("{name}", \'\') AS "{name}"' for name in texts)
    return f'SELECT * REPLACE ({replaced}) FROM {SCHEMA}."{table}"'
