"""``tokenweir version``."""

from .. import __version__

__all__ = ["version"]


def version() -> None:
    """Print the version, which build of the core runs, and on which Python."""
    import platform

    from ..build import python_is_optimized, require_whole_build, running_build

    optimized = "with" if python_is_optimized() else "without"
    print(f"tokenweir {__version__}")
    print(f"core: {running_build()}")
    print(f"Python {platform.python_version()}, built {optimized} profile-guided optimization")
    require_whole_build()
