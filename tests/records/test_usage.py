from datetime import UTC, datetime

import msgspec

from tokenweir.records import CallRecord, Usage, usage_fields


def test_a_record_has_every_count_under_its_own_name() -> None:
    counts = {field.name: n for n, field in enumerate(msgspec.structs.fields(Usage)) if field.type is int}
    usage = Usage(source="reported", raw={"input_tokens": 1}, **counts)
    record = CallRecord(call_id="1", started_at=datetime.now(UTC), **usage_fields(usage))
    assert {name: getattr(record, name) for name in counts} == counts
    assert (record.usage_source, record.usage) == ("reported", {"input_tokens": 1})
