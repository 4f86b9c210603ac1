"""The Application Insights of the benchmarks: the tests' ingestion endpoint as a process, which remembers nothing."""

import json
import os
import signal
import sys

from .processes import ROOT

_ENDINGS = {signal.SIGTERM, signal.SIGINT}


def main() -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)  # before there is a thread that could be interrupted instead
    sys.path.insert(0, str(ROOT / "tests"))
    from support.ingestion import Answer, Request, serving_ingestion

    with serving_ingestion() as ingestion:

        def take(request: Request) -> Answer:
            ingestion.requests.clear()
            ingestion.requests.append(request)
            return Answer()

        ingestion.answer = take
        print(json.dumps({"pid": os.getpid(), "connection_string": ingestion.connection_string}), flush=True)
        signal.sigwait(_ENDINGS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
