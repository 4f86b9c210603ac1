"""From options, profiles and the environment to the endpoint that is called.

    --endpoint, or the name of a profile, or a URL in the place of one
    AZURE_OPENAI_ENDPOINT, OPENAI_BASE_URL        as the official SDKs do
    the gateway of the configuration              on this machine

A key comes from ``--key``, ``--key-env``, the profile's ``key_env``, or the variable that the official SDK reads.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ...config import Config, ProfileSettings, parse_address
from ...errors import ConfigError, nearest
from ...providers import PROVIDERS
from ...stopwatch import Kind, StreamApi, StreamTarget, kind_of
from ...upstream import Endpoint

__all__ = ["Asked", "target_for"]

_API_VERSION = "2024-10-21"
_DEPLOYMENT = "gpt-4o"
_ANYWHERE = re.compile(r"(0\.0\.0\.0|::)")
_KEY = re.compile(r"[!-~]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What options say; None leaves it to the profile, the environment or the usual."""

    endpoint: str | None = None
    key: str | None = None
    key_env: str | None = None
    key_header: str | None = None
    deployment: str | None = None
    api: StreamApi | None = None
    api_version: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    every_header: bool = False
    members: dict[str, Any] = {}


def target_for(name: str | None, asked: Asked, config: Config, environ: Mapping[str, str]) -> StreamTarget:
    """The endpoint called ``name`` (a profile, or a URL), or the one that is called where nothing is named.

    Raises ``ConfigError`` with the fix; it never repeats a key.
    """
    profile = _profile(name, asked, config, environ)
    endpoint = Endpoint.parse(profile.endpoint)
    kind = kind_of(endpoint) if profile.kind == "auto" else profile.kind
    key_header = asked.key_header or profile.key_header
    if key_header is not None and _HEADER_NAME.fullmatch(key_header) is None:
        raise ConfigError("the header for the key must be a header's name, such as Ocp-Apim-Subscription-Key")
    key, key_source = _key(asked, profile, kind, environ)
    return StreamTarget(
        name=profile.name,
        endpoint=endpoint,
        kind=kind,
        api=asked.api or profile.api,
        deployment=asked.deployment or profile.deployment or _DEPLOYMENT,
        api_version=asked.api_version or profile.api_version or environ.get("OPENAI_API_VERSION") or _API_VERSION,
        key=key,
        key_source=key_source,
        key_header=key_header,
        headers=asked.headers,
        every_header=asked.every_header,
        members=asked.members,
    )


def _profile(name: str | None, asked: Asked, config: Config, environ: Mapping[str, str]) -> ProfileSettings:
    known = {profile.name: profile for profile in config.profiles}
    if name is None:
        endpoint = asked.endpoint or environ.get("AZURE_OPENAI_ENDPOINT") or environ.get("OPENAI_BASE_URL")
        return _unnamed(endpoint) if endpoint else _own_gateway(config)
    if name in known:
        return known[name]
    if "://" in name:
        return _unnamed(name)
    meant = nearest(name, known)
    if meant:
        raise ConfigError(f"no [[profiles]] table is called {name}; did you mean {meant}?")
    there_are = f"there are {', '.join(known)}" if known else "there are none; add one to tokenweir.toml, or give a URL"
    raise ConfigError(f"no [[profiles]] table is called {name}; {there_are}")


def _unnamed(url: str) -> ProfileSettings:
    endpoint = Endpoint.parse(url)
    return ProfileSettings(endpoint.authority.decode(), url)


def _own_gateway(config: Config) -> ProfileSettings:
    """What ``tokenweir serve`` with this configuration listens on, asked for its first deployment."""
    host, port = parse_address(config.server.data)
    host = "127.0.0.1" if _ANYWHERE.fullmatch(host) else host
    scheme = "https" if config.server.certificate else "http"
    deployment = config.deployments[0].name if config.deployments else None
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    return ProfileSettings("the gateway here", url, deployment=deployment)


def _key(
    asked: Asked, profile: ProfileSettings, kind: Kind, environ: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """The key, and where it came from."""
    if asked.key is not None:
        return _checked(asked.key, "--key")
    named = asked.key_env or profile.key_env
    if named is None:
        usual = PROVIDERS[kind].key_variables[0]
        return _checked(environ[usual], usual) if environ.get(usual) else (None, None)
    shown = named if _VARIABLE.fullmatch(named) else "a variable"
    if not environ.get(named):
        place = "--key-env" if asked.key_env else f'[[profiles]] "{profile.name}" key_env'
        raise ConfigError(f"{place} names {shown}, and that is not set; set the variable to the key")
    return _checked(environ[named], shown)


def _checked(key: str, source: str) -> tuple[str, str]:
    key = key.strip()
    if _KEY.fullmatch(key) is None:
        raise ConfigError(f"the key from {source} is empty, or holds a character that no key has")
    return key, source
