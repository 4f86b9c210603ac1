"""The Event Hubs of the benchmarks: the tests' emulator as a process. Prints where it listens, and serves.

With ``--keep`` events are written to a file, for `delivered` to read: at the end, or, without receivers, soon after
they came, and then they are no longer in memory.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import IO, TYPE_CHECKING, NamedTuple

import msgspec

from .processes import ROOT

if TYPE_CHECKING:
    from support.amqp.emulator import EventHubsEmulator

__all__ = ["HUB", "KeptEvent"]

HUB = "llm"
_ENDINGS = {signal.SIGTERM, signal.SIGINT}
_LOOK_SECONDS = 0.5
_EVERY_DELIVERY = 10**9


class KeptEvent(NamedTuple):
    """One event in the file: the fields of one MessagePack array of them, each such array after its length."""

    partition: str
    enqueued_ms: int
    message: bytes
    """As AMQP has it."""


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)  # before there is a thread that could be interrupted instead
    sys.path.insert(0, str(ROOT / "tests"))
    from support.amqp.emulator import EventHubsEmulator

    hubs = EventHubsEmulator({HUB: options.partitions}, port=options.port)
    try:
        hubs.start()
        print(json.dumps({"pid": os.getpid(), "connection_string": hubs.connection_string(HUB)}), flush=True)
        if options.keep is None:
            signal.sigwait(_ENDINGS)
        else:
            _keep(hubs, options)
    finally:
        hubs.close()
    return 0


def _keep(hubs: "EventHubsEmulator", options: argparse.Namespace) -> None:
    began = monotonic()
    hubs.faults.busy = _EVERY_DELIVERY if options.busy else 0
    with options.keep.open("ab") as file:
        while not signal.sigtimedwait(_ENDINGS, _LOOK_SECONDS):
            if not options.receivers:
                _move(hubs, file)
            if hubs.faults.busy and monotonic() - began > options.busy:
                hubs.faults.busy = 0
        hubs.stop()
        _move(hubs, file)  # what came until then was confirmed


def _move(hubs: "EventHubsEmulator", file: IO[bytes]) -> None:
    taken = hubs.take(HUB)
    events = [KeptEvent(name, int(one.enqueued_at), one.message) for name, found in taken.items() for one in found]
    if events:
        encoded = msgspec.msgpack.encode(events)
        file.write(len(encoded).to_bytes(4, "big") + encoded)
        file.flush()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hub")
    parser.add_argument("partitions", type=int)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--keep", type=Path, metavar="FILE")
    parser.add_argument("--receivers", action="store_true", help="there are some, so nothing is forgotten")
    parser.add_argument("--busy", type=float, default=0, help="seconds at first in which it takes nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
