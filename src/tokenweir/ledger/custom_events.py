"""The view ``customEvents``: the ledger as Application Insights shows it, for KQL that people already have.

Its first eight properties are those of today's chargeback function, all of them text. Two things are
better than there: embeddings appear (the function has no answer to parse for them, so it drops them),
and every event is here, because nothing is sampled. Calls that used nothing are there under another name.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Protocol

from ..apis import SURFACES
from ..records import CALLS_EVENT, COLUMNS, CUSTOM_EVENT_PROPERTIES, TOKENS_EVENT, ColumnKind

__all__ = ["Dialect", "event_expressions", "view_select", "view_statement", "view_version"]


class Dialect(Protocol):
    """What engines write differently. Each takes SQL and gives SQL; of NULL all texts are NULL."""

    def time_text(self, moment: str) -> str:
        """A moment as ISO 8601 text in UTC, with six digits of a second."""
        ...

    def whole_text(self, number: str) -> str:
        """A whole number as text."""
        ...

    def money_text(self, amount: str) -> str:
        """An amount with all its twelve places."""
        ...

    def map_text(self, pairs: str) -> str:
        """A map as the text of a JSON object; NULL if it is empty."""
        ...

    def json_text(self, column: str) -> str:
        """A column of JSON as its text; NULL if it is an empty object."""
        ...

    def as_object(self, properties: Iterable[tuple[str, str]]) -> str:
        """A JSON object of names and expressions."""
        ...


def view_statement(dialect: Dialect) -> str:
    """The statement that makes the view."""
    return f'CREATE OR REPLACE VIEW "customEvents" AS {view_select(dialect)}'


def view_version(statement: str) -> str:
    """What a ledger keeps as the view's comment. A ledger whose view has another one gets it made again when it is
    opened, so a new property, or a new surface's name, needs no migration."""
    return f"Tokenweir {sha256(statement.encode()).hexdigest()[:16]}"


def view_select(dialect: Dialect, more: str = "", calls: str = "calls") -> str:
    """What the view shows of the table ``calls``; ``more`` columns beside it."""
    of = event_expressions(dialect)
    event = f"CASE WHEN usage_source = 'none' THEN '{CALLS_EVENT}' ELSE '{TOKENS_EVENT}' END"
    properties = dialect.as_object((name, of[name]) for name in CUSTOM_EVENT_PROPERTIES)
    return (
        f'SELECT started_at AS "timestamp", {event} AS "name", {properties} AS "customDimensions"'
        f"{', ' if more else ''}{more} FROM {calls}"
    )


def event_expressions(dialect: Dialect) -> dict[str, str]:
    """Property → what it is of a row in ``calls``."""
    operations = [f"WHEN '{api.name}' THEN '{api.event_operation}'" for api in SURFACES if api.event_operation]
    made = {
        "ApiOperation": f"CASE api {' '.join(operations)} ELSE api END",
        "AppKey": "coalesce(key_id, caller)",
        "Model": "coalesce(response_model, requested_model)",
    }
    kinds = {column.name: column.kind for column in COLUMNS}
    return {
        name: made[name] if column is None else _text_of(column, kinds[column], dialect)
        for name, column in CUSTOM_EVENT_PROPERTIES.items()
    }


def _text_of(column: str, kind: ColumnKind, dialect: Dialect) -> str:
    match kind:
        case "moment":
            return dialect.time_text(column)
        case "flag":
            return f"CASE WHEN {column} THEN 'True' ELSE 'False' END"
        case "count":
            return dialect.whole_text(column)
        case "milliseconds":
            return dialect.whole_text(f"floor({column} + 0.5)")  # not round(): engines differ about halves
        case "money":
            return dialect.money_text(column)
        case "labels":
            return dialect.map_text(column)
        case "quantities":
            return dialect.json_text(column)
        case "charges":
            return f"nullif({dialect.json_text(column)}, '[]')"
    return column
