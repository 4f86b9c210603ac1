"""What the endpoints that ``tokenweir stream`` knows by name must be."""

from collections.abc import Mapping

from ..errors import ConfigError
from ..upstream import Endpoint
from .found import Found
from .model import Config

__all__ = ["profiles"]


def profiles(config: Config, environ: Mapping[str, str]) -> Found:
    """A key's variable may be missing here: the file is shared, and keys are each person's own."""
    for profile in config.profiles:
        try:
            Endpoint.parse(profile.endpoint)
        except ConfigError as error:
            yield ("profiles", f'"{profile.name}"', "endpoint"), str(error)
