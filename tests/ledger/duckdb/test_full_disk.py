"""The disk is full: nothing half done, and it goes on by itself once there is room again."""

from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

import pytest

from tokenweir.ledger import LedgerError, open_ledger
from tokenweir.records import CallRecord

MakeCall = Callable[..., CallRecord]


# On the smaller disk a batch finds no room, on the larger the engine's checkpoint of many batches.
@pytest.mark.parametrize(("size", "filled"), [("6m", 1_500_000), ("24m", 3_000_000)])
def test_a_full_disk_stops_posting_until_there_is_room(
    small_disk: Callable[[str], Path], make_call: MakeCall, size: str, filled: int
) -> None:
    disk = small_disk(size)
    filler = disk / "filler"
    filler.write_bytes(bytes(filled))
    ledger = open_ledger(f"duckdb:{disk}/ledger.duckdb")
    posted = 0

    def batch() -> list[CallRecord]:
        return [make_call(request_body=token_hex(250)) for _ in range(500)]

    with pytest.raises(LedgerError, match="No space left"):
        while True:
            waiting = batch()
            posted += ledger.post(waiting, "relay-1", str(posted + 500))
    for _ in range(2):
        with pytest.raises(LedgerError):
            ledger.post(waiting, "relay-1", "more")
    assert ledger.usage([])[0]["calls"] == posted > 0
    assert ledger.position("relay-1") == str(posted)

    filler.unlink()
    assert ledger.post(waiting, "relay-1", str(posted + 500)) == 500
    assert ledger.usage([])[0]["calls"] == posted + 500
    ledger.close()
