"""A process that writes a journal as fast as it can, until it has written enough or is killed.

For each record that is durable it writes the record's seq to stdout, four bytes each; with ``--announce``, as the
number is handed out. With ``--stay`` it waits to be killed.
"""

import argparse
import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tokenweir.journal import Journal, JournalSettings
from tokenweir.records import CallRecord, Size, SystemClock, new_call_id

AHEAD = 200
"""Records that may be appended and not yet durable."""


class Options(argparse.Namespace):
    directory: Path
    durability: Literal["batch", "strict"]
    segment_size: Size
    body: int
    count: int
    run: str
    announce: bool
    stay: bool


async def append_all(options: Options) -> None:
    settings = JournalSettings(durability=options.durability, segment_size=options.segment_size)
    journal = Journal.open(options.directory, settings, SystemClock())
    room = asyncio.Semaphore(AHEAD)
    body = "x" * options.body

    for _ in range(options.count):
        await room.acquire()
        seq = journal.next_seq()
        if options.announce:
            os.write(1, seq.to_bytes(4, "little"))
        record = CallRecord(
            call_id=new_call_id(),
            replica=journal.replica,
            seq=seq,
            started_at=datetime.now(UTC),
            caller=options.run,
            response_body=body[: seq * 7919 % (options.body + 1)],
        )

        def say(number: bytes = seq.to_bytes(4, "little")) -> None:
            if not options.announce:
                os.write(1, number)
            room.release()

        journal.append(record, say)
    if options.stay:
        await asyncio.Event().wait()
    journal.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--durability", default="batch")
    parser.add_argument("--segment_size", type=Size, default=Size(200_000))
    parser.add_argument("--body", type=int, default=0)
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--announce", type=bool, default=False)
    parser.add_argument("--stay", type=bool, default=False)
    parser.add_argument("--run", default="")
    asyncio.run(append_all(parser.parse_args(namespace=Options())))


if __name__ == "__main__":
    main()
