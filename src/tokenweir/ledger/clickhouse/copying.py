"""Copies calls out of ClickHouse as CSV, for KQL to be asked elsewhere."""

from typing import BinaryIO

from ...errors import QueryError
from ..kql import Wanted
from ..limits import Limits
from .sandbox import TOOK_TOO_LONG, guards
from .server import ClickHouseDatabase, Error

__all__ = ["copy_calls"]

_CSV = {"format_csv_null_representation": "", "date_time_output_format": "simple"}
_JSON_HERE = {"tags", "finish_reasons", "tool_calls"}
"""Columns that are JSON in the copies, and something else in the ledger."""


def copy_calls(server: ClickHouseDatabase, limits: Limits, wanted: Wanted, most: int, file: BinaryIO) -> int:
    """Writes the wanted columns and times of fewer than ``most`` calls; how many there are. Raises `QueryError`."""
    conditions = [f"started_at >= '{wanted.since}'"] if wanted.since else []
    conditions += [f"started_at <= '{wanted.until}'"] if wanted.until else []
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    columns = ", ".join(f"toJSONString({name})" if name in _JSON_HERE else name for name in wanted.columns)
    try:
        [[found]] = server.ask(f"SELECT count(*) FROM calls{where}", settings=guards(limits)).data
        if found < most:
            server.copy(f"SELECT {columns} FROM calls{where}", {**guards(limits), **_CSV}, file)
    except Error as error:
        if error.code == TOOK_TOO_LONG:
            raise QueryError(limits.took_too_long()) from None
        with server.failing():
            raise
    return int(found)
