"""``tokenweir version``."""

import platform

from .. import __version__
from ..build import python_is_optimized, require_whole_build, running_build

__all__ = ["version"]


def version() -> None:
    """Print the version, which build of the core runs, and on which Python."""
    optimized = "with" if python_is_optimized() else "without"
    print(f"tokenweir {__version__}")
    print(f"core: {running_build()}")
    print(f"Python {platform.python_version()}, built {optimized} profile-guided optimization")
    require_whole_build()
