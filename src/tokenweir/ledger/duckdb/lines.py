"""How DuckDB takes the lines of calls apart."""

from typing import ClassVar

from ...records import ChargeLine
from ..rows import json_encoder

__all__ = ["DuckDBLines"]

# Numbers come as numbers or, so that none of them loses a digit, as text.
_LINE = json_encoder.encode([dict.fromkeys(ChargeLine.__struct_fields__, "VARCHAR")]).decode()


class DuckDBLines:
    """A `LineDialect`."""

    _itemised: ClassVar[str] = (
        "SELECT *, unnest(of_charges) AS line, generate_subscripts(of_charges, 1) AS line_number FROM "
        f"(SELECT *, from_json(charges, '{_LINE}') AS of_charges FROM ({{source}}) AS rated "
        "WHERE CAST(charges AS VARCHAR) <> '[]') AS rated"
    )

    def _of_line(self, name: str) -> str:
        return f"line.{name}"

    def _decimal(self, text: str) -> str:
        return f"CAST({text} AS DECIMAL(38,12))"
