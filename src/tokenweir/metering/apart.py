"""Estimates in a process of their own, for request bodies so large that decoding one would hold the interpreter, and
with it every stream of the relay, for a second.

Started for one estimate, as few calls need it: it reads a pickled header and the body from its standard input and
writes the usage to its standard output.
"""

import pickle
import subprocess
import sys
from typing import Any

import msgspec

from ..records import Usage
from .estimates import estimate
from .reading import Output
from .structs import Reading
from .tally import Written

__all__ = ["estimate_apart"]

# Reading 64 MB and counting five million characters takes seconds; beyond, something is wrong.
_MOST_SECONDS = 120.0


class _Said(Output):
    """An output that is read, and can travel."""

    def __init__(self, choices: list[Written]) -> None:
        self._choices = choices

    def choices(self) -> list[Written]:
        return self._choices


def estimate_apart(
    api: str,
    pieces: list[bytes],
    reading: Reading | None,
    model: str | None,
    *,
    ended_normally: bool,
    azure: bool,
) -> Usage:
    """What ``estimate`` says of a body in pieces. Blocks: for a thread. Raises ``OSError`` or ``RuntimeError``."""
    if reading is not None:
        reading = msgspec.structs.replace(reading, output=_Said(reading.output.choices()), content=None)
    how = {"model": model, "ended_normally": ended_normally, "azure": azure}
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenweir.metering.apart"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("pipes were asked for")
        try:
            pickle.dump((api, reading, how), process.stdin)
            for piece in pieces:
                process.stdin.write(piece)
            process.stdin.close()
            answer = process.stdout.read()
            status = process.wait(_MOST_SECONDS)
        except BaseException:
            process.kill()
            raise
    if status:
        raise RuntimeError(f"the process that was to estimate ended with {status}")
    return msgspec.msgpack.decode(answer, type=Usage)


def _main() -> None:
    api, reading, how = _read_header()
    usage = estimate(api, sys.stdin.buffer.read(), reading, how.pop("model"), **how)
    sys.stdout.buffer.write(msgspec.msgpack.encode(usage))


def _read_header() -> tuple[str, Reading | None, dict[str, Any]]:
    header: tuple[str, Reading | None, dict[str, Any]] = pickle.load(sys.stdin.buffer)  # the parent's own
    return header


if __name__ == "__main__":
    # what is pickled names this module by its own name
    from tokenweir.metering import apart

    apart._main()
