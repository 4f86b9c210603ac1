"""What TLS towards an upstream costs beside encryption."""

import ctypes
import subprocess
import sys

import pytest

# mallinfo2 counts the blocks that are the kernel's own. What a process has freed so far decides, so it is a new one.
_COUNTED = """
import ctypes, sys
from tokenweir.upstream.settings import UpstreamSettings, CredentialSettings
from tokenweir.upstream.tls import tls_context

class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks".split()]
    _rest_ = (ctypes.c_size_t * 4)

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = type("All", (ctypes.Structure,), {"_fields_": [("counts", Counts), ("rest", Counts._rest_)]})
if sys.argv[1] == "with":
    tls_context(UpstreamSettings("sweden", "https://127.0.0.1:9", CredentialSettings(key="k")))
before = mallinfo2().counts.hblks
block = bytearray(256 * 1024)
print(mallinfo2().counts.hblks - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="only glibc tells")
def test_a_read_through_tls_asks_the_kernel_for_no_memory() -> None:
    def asked(what: str) -> str:
        return subprocess.run([sys.executable, "-c", _COUNTED, what], capture_output=True, text=True, check=True).stdout

    assert (asked("without"), asked("with")) == ("1\n", "0\n")
