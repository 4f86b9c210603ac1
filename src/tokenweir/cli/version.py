"""``tokenweir version``."""

from .. import __version__

__all__ = ["version"]


def version() -> None:
    """Print the version."""
    print(f"tokenweir {__version__}")
