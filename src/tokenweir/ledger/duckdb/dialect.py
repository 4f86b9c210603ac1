"""How DuckDB writes what the view ``customEvents`` shows."""

from collections.abc import Iterable

__all__ = ["DuckDBDialect"]


class DuckDBDialect:
    def time_text(self, moment: str) -> str:
        return f"strftime({moment}, '%Y-%m-%dT%H:%M:%S.%fZ')"

    def whole_text(self, number: str) -> str:
        return f"CAST(CAST({number} AS BIGINT) AS VARCHAR)"

    def money_text(self, amount: str) -> str:
        return f"CAST({amount} AS VARCHAR)"

    def map_text(self, pairs: str) -> str:
        return f"nullif(CAST({pairs} AS VARCHAR), '{{}}')"

    json_text = map_text

    def as_object(self, properties: Iterable[tuple[str, str]]) -> str:
        return "{" + ", ".join(f"'{name}': {what}" for name, what in properties) + "}::JSON"
