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
from .measurement import Measurement
from .written import Output, WrittenChoice

__all__ = ["estimate_apart"]

# Reading 64 MB and counting five million characters takes seconds; beyond, something is wrong.
_MOST_SECONDS = 120.0


def estimate_apart(
    api: str,
    pieces: list[bytes],
    measurement: Measurement | None,
    model: str | None,
    *,
    ended_normally: bool,
    azure: bool,
) -> Usage:
    """What ``estimate`` says of a body in pieces. Blocks: for a thread. Raises ``OSError`` or ``RuntimeError``."""
    written: list[tuple[str, list[tuple[str, str]]]] = []
    if measurement is not None:
        written = [(one.text, one.calls) for one in measurement.output.choices()]
        nothing: Any = None  # compiled classes cannot be pickled
        measurement = msgspec.structs.replace(measurement, output=nothing, content=None)
    how = {"model": model, "ended_normally": ended_normally, "azure": azure}
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenweir.metering.apart"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("pipes were asked for")
        try:
            pickle.dump((api, measurement, written, how), process.stdin)
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
    api, measurement, written, how = pickle.load(sys.stdin.buffer)  # the parent's own
    if measurement is not None:
        measurement.output = Output({index: WrittenChoice(*one) for index, one in enumerate(written)})
    usage = estimate(api, sys.stdin.buffer.read(), measurement, how.pop("model"), **how)
    sys.stdout.buffer.write(msgspec.msgpack.encode(usage))


if __name__ == "__main__":
    _main()
