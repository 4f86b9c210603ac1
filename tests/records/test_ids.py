"""Call ids are UUIDs of version 7: unique, and in the order of their calls."""

import time
import uuid

import pytest

from tokenweir.records import new_call_id


def test_an_id_is_a_uuid_of_version_7_that_tells_its_time() -> None:
    before = time.time_ns() // 1_000_000
    call_id = new_call_id()
    made = uuid.UUID(call_id)
    assert str(made) == call_id
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_ascend_and_none_comes_twice() -> None:
    ids = [new_call_id() for _ in range(10_000)]
    assert sorted(set(ids)) == ids


def test_a_later_moment_makes_a_later_id(monkeypatch: pytest.MonkeyPatch) -> None:
    for moment in (1_700_000_000_000, 1_700_000_000_000, 1_700_000_000_001):
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: moment * 1_000_000)
        assert uuid.UUID(new_call_id()).int >> 80 == moment
