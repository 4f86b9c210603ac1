"""The Event Hubs of the benchmark: the tests' emulator as a process. Prints where it listens, and serves."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence

from .processes import ROOT


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("partitions", type=int)
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(ROOT / "tests"))
    from support.amqp.emulator import running_event_hubs

    with running_event_hubs({"llm": options.partitions}) as hubs:
        print(json.dumps({"pid": os.getpid(), "connection_string": hubs.connection_string("llm")}), flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
