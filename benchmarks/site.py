"""The place of a run: a folder to write in, a certificate, and the upstream on the load's core."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .certificate import make_certificate
from .contenders import Site
from .processes import LOAD_CORE, free_port, python_module, running

__all__ = ["CACHE", "prepared_site"]

CACHE = Path.home() / ".cache" / "tokenweir-bench"
"""Where ``scripts/bench`` installs the contenders."""


@contextmanager
def prepared_site(cache: Path) -> Iterator[Site]:
    """A site for the length of the block."""
    cache.mkdir(parents=True, exist_ok=True)
    # Not in /tmp, which may be memory: the journal is to meet a disk.
    with tempfile.TemporaryDirectory(prefix="run-", dir=cache, ignore_cleanup_errors=True) as folder:
        run = Path(folder)
        certificate = make_certificate(run)
        site = Site(cache, run, free_port(), free_port(), certificate)
        tls = (site.upstream_tls_port, certificate.chain, certificate.key)
        command = python_module("upstream", site.upstream_port, *tls)
        with running(command, LOAD_CORE, run / "upstream.log") as upstream:
            time.sleep(1)
            if not upstream.is_alive:
                raise RuntimeError(f"the upstream did not start:\n{upstream.last_words()}")
            yield site
