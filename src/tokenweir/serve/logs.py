"""How the processes log: one line each on stderr, level by ``TOKENWEIR_LOG`` (default ``info``)."""

import logging
import os

__all__ = ["configure_logging"]


def configure_logging(process: str) -> None:
    """Names the process in every line. Error: something was lost. Warning: we recovered. Info: start, stop, change."""
    level = os.environ.get("TOKENWEIR_LOG", "info").upper()
    logging.basicConfig(
        level=level if level in logging.getLevelNamesMapping() else "INFO",
        format=f"%(asctime)s %(levelname)-7s {process}: %(message)s",
        force=True,
    )
    # Azure's packages tell of every change of a connection's state. Of their troubles we tell ourselves.
    logging.getLogger("azure").setLevel(logging.ERROR)
