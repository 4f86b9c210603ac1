"""The reference of requests, as far as it is made from the tables that requests are judged by."""

from collections.abc import Mapping

from ..wire.request_fields import HEADERS, PREFIXES, QUERY
from .routes import METERED

__all__ = ["request_tables"]


def request_tables() -> dict[str, str]:
    """Heading → its table in ``docs/reference/requests.md``."""
    headers = {name.decode(): entry for name, entry in HEADERS.items()}
    headers |= {f"{beginning.decode()}…": entry for beginning, entry in PREFIXES.items()}
    return {
        "metered": "\n".join(f"- `…/{tail}`: `{api}`" for tail, (api, _) in METERED.items()),
        "headers": _table("header", headers),
        "query": _table("field", QUERY),
    }


def _table(what: str, entries: Mapping[str, tuple[str, str]]) -> str:
    rows = [f"| `{name}` | {fate} | {reason} |" for name, (fate, reason) in sorted(entries.items())]
    return "\n".join([f"| {what} | is | because |", "|---|---|---|", *rows])
