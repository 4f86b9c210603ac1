"""Secrets, where settings say they are."""

from collections.abc import Mapping

from ...errors import ConfigError

__all__ = ["secret"]


def secret(variable: str | None, setting: str, environ: Mapping[str, str]) -> str:
    """What a variable holds that a setting names. `ConfigError`, which repeats nothing of it, if there is none."""
    if variable is None:
        raise ConfigError(f"`{setting}` is missing; it names the environment variable that holds the secret")
    value = environ.get(variable, "").strip()
    if not value:
        raise ConfigError(f"`{setting}` names the environment variable {variable}, which is not set")
    return value
