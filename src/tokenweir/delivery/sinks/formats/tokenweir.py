"""The shape ``tokenweir``: the whole record, under the names of its columns. What has its default is left out."""

from typing import Any

import msgspec

from ....records import CallRecord, flat

__all__ = ["whole_record"]


def whole_record(record: CallRecord) -> dict[str, Any]:
    """Money is text, times are ISO 8601 in UTC."""
    fields: dict[str, Any] = msgspec.to_builtins(flat(record))
    return fields
