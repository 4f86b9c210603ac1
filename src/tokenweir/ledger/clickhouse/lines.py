"""How ClickHouse takes the lines of calls apart."""

from typing import ClassVar

__all__ = ["ClickHouseLines"]

_NUMBERS = ("quantity", "rate", "per", "amount")


class ClickHouseLines:
    """A `LineDialect`."""

    _itemised: ClassVar[str] = (
        "SELECT *, numbered.1 AS line, numbered.2 AS line_number FROM (SELECT *, "
        "arrayJoin(arrayZip(JSONExtractArrayRaw(charges) AS of_charges, arrayEnumerate(of_charges))) AS numbered "
        "FROM ({source}) AS rated WHERE charges <> '[]') AS rated"
    )

    def _of_line(self, name: str) -> str:
        if name in _NUMBERS:
            return f"nullIf(trim(BOTH '\"' FROM JSONExtractRaw(line, '{name}')), '')"
        return f"nullIf(JSONExtractString(line, '{name}'), '')"

    def _decimal(self, text: str) -> str:
        return f"toDecimal128OrNull({text}, 12)"
