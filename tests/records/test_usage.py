from datetime import UTC, datetime
from typing import Any

import msgspec

from tokenweir.records import CallRecord, Usage, usage_fields


def test_a_record_has_every_count_under_its_own_name() -> None:
    fields = msgspec.structs.fields(Usage)
    counts: dict[str, Any] = {field.name: n for n, field in enumerate(fields) if field.type is int}
    usage = Usage(source="reported", raw={"input_tokens": 1}, **counts)
    record = CallRecord(call_id="1", started_at=datetime.now(UTC), **usage_fields(usage))
    assert {name: getattr(record, name) for name in counts} == counts
    assert (record.usage_source, record.usage) == ("reported", {"input_tokens": 1})
