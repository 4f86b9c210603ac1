"""Call ids are UUIDs of version 7: unique, and in the order of their calls."""

import os
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


def test_a_forked_process_has_ids_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same moment, too: relays are forked from one process."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    new_call_id()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, new_call_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs, ours = os.read(reader, 100).decode(), new_call_id()
    os.close(reader)
    os.close(writer)
    assert theirs[:14] == ours[:14]  # the time and the version
    assert theirs[15:23] != ours[15:23]  # which process it was


def test_a_later_moment_makes_a_later_id(monkeypatch: pytest.MonkeyPatch) -> None:
    for moment in (1_700_000_000_000, 1_700_000_000_000, 1_700_000_000_001):
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: moment * 1_000_000)
        assert uuid.UUID(new_call_id()).int >> 80 == moment
