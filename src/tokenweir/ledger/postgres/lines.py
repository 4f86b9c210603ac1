"""How PostgreSQL takes the lines of calls apart."""

from typing import ClassVar

__all__ = ["PostgresLines"]


class PostgresLines:
    """A `LineDialect`."""

    _itemised: ClassVar[str] = (
        "SELECT rated.*, of_call.line AS line, of_call.line_number AS line_number FROM ({source}) AS rated, "
        "json_array_elements(rated.charges) WITH ORDINALITY AS of_call(line, line_number)"
    )

    def _of_line(self, name: str) -> str:
        return f"line ->> '{name}'"

    def _decimal(self, text: str) -> str:
        return f"CAST({text} AS numeric)"
