"""Copies calls out of PostgreSQL as CSV, for KQL to be asked elsewhere."""

from typing import BinaryIO

import psycopg

from ...errors import QueryError
from ..kql import Wanted
from ..limits import Limits
from .server import PostgresDatabase

__all__ = ["copy_calls"]


def copy_calls(server: PostgresDatabase, limits: Limits, wanted: Wanted, most: int, file: BinaryIO) -> int:
    """Writes the wanted columns and times of up to ``most`` calls; how many there were. Raises `QueryError`."""
    conditions = [f"started_at >= '{wanted.since}'"] if wanted.since else []
    conditions += [f"started_at <= '{wanted.until}'"] if wanted.until else []
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    columns = ", ".join(wanted.columns)
    with server.transaction() as connection:
        connection.execute(f"SET LOCAL statement_timeout = {round(limits.seconds * 1000)}")
        cursor = connection.cursor()
        try:
            with cursor.copy(f"COPY (SELECT {columns} FROM calls{where} LIMIT {most}) TO STDOUT (FORMAT csv)") as copy:
                for data in copy:
                    file.write(data)
        except psycopg.errors.QueryCanceled as error:
            raise QueryError(limits.took_too_long()) from error
    return cursor.rowcount
