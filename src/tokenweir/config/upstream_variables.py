"""The variables by which the official SDKs and the SSE proxy function know an upstream, for a start without any file.

    AZURE_OPENAI_BASE_URL    the SSE proxy function's     with AZURE_OPENAI_KEY, or else AZURE_OPENAI_API_KEY
    AZURE_OPENAI_ENDPOINT    the SDK's, for Azure         with AZURE_OPENAI_API_KEY, or else AZURE_OPENAI_KEY
    OPENAI_BASE_URL          the SDK's                    with OPENAI_API_KEY
    ANTHROPIC_FOUNDRY_BASE_URL, and those of other providers: their SDK's, with its key
    OPENAI_API_KEY           alone: api.openai.com

Of the first two, an address of OpenAI's own API, or one that ends in /v1 and not in /openai/v1, is taken for what it
is: callers go on asking as of Azure, and their calls go out as OpenAI has them.

The first that is set describes the one upstream. So who points the SDK at this gateway by its own variable, in the same
shell, says with AZURE_OPENAI_BASE_URL where the gateway itself goes.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..providers import PROVIDERS, Provider
from .model import Config

__all__ = ["KEY_VARIABLES", "VariableUpstream", "upstream_from_variables", "upstream_notes"]

_BASE_URL = "AZURE_OPENAI_BASE_URL"
_ENDPOINT = "AZURE_OPENAI_ENDPOINT"
_OPENAI_URL = "OPENAI_BASE_URL"
_OPENAI_KEY = "OPENAI_API_KEY"
_AZURE_KEYS = {
    _BASE_URL: ("AZURE_OPENAI_KEY", "AZURE_OPENAI_API_KEY"),
    _ENDPOINT: ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY"),
}
_ENDPOINTS = (_BASE_URL, *(provider.url_variable for provider in PROVIDERS.values()))
_VERSIONS = ("AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION")

KEY_VARIABLES = PROVIDERS["azure"].key_variables
"""A key for which an endpoint is needed, too."""

_API = re.compile(r"/+openai(/+v1)?/*$", re.IGNORECASE)
_OPENAI_API = re.compile(r"(?<!/openai)/+v1/*$", re.IGNORECASE)
_OPENAI_HOST = re.compile(r"(^|\.)api\.openai\.com$", re.IGNORECASE)
_AZURE_HOST = re.compile(r"\.(openai|cognitiveservices|services\.ai)\.azure\.(com|us|cn)$", re.IGNORECASE)


class VariableUpstream(msgspec.Struct, frozen=True):
    """The one ``[[upstreams]]`` table that variables describe, raw, and the variable that made it so."""

    variable: str
    table: dict[str, Any]


def upstream_from_variables(environ: Mapping[str, str]) -> VariableUpstream | None:
    """``None`` where no variable names an upstream.

    An api-version is for callers who name none: unlike the proxy function, the gateway passes on the caller's own.
    """
    for variable, keys in _AZURE_KEYS.items():
        if (url := _value(environ, variable)) and _is_openai(url):
            table = _table("openai", url, PROVIDERS["openai"])
            return VariableUpstream(
                variable, table | {"credential": {"key_env": _first(environ, (_OPENAI_KEY, *keys))}}
            )
        if url:
            return VariableUpstream(variable, _azure(url, _first(environ, keys), environ))
    url = _value(environ, _OPENAI_URL)
    if url and _is_azure(url):
        return VariableUpstream(_OPENAI_URL, _azure(url, _OPENAI_KEY, environ))
    for kind, provider in PROVIDERS.items():
        if url := _value(environ, provider.url_variable):
            return VariableUpstream(provider.url_variable, _table(kind, url, provider))
    if _value(environ, _OPENAI_KEY):
        return VariableUpstream(_OPENAI_KEY, _table("openai", PROVIDERS["openai"].example, PROVIDERS["openai"]))
    return None


def upstream_notes(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """What variables say that is not heeded, or that may surprise. Values are not repeated: a URL may hold a key."""
    found = upstream_from_variables(environ)
    if found is None:
        return
    if [upstream.endpoint for upstream in config.upstreams] != [found.table["endpoint"]]:
        if found.variable == _BASE_URL and config.upstreams:  # others are set for clients, too
            if all(upstream.endpoint != found.table["endpoint"] for upstream in config.upstreams):
                yield f"{_BASE_URL} is set and not used: [[upstreams]] are configured, and none is at that address"
        return
    used_key = found.table["credential"]["key_env"]
    if config.upstreams[0].credential.key_env != used_key:
        return  # a file has it so
    for other in _ENDPOINTS:
        if other != found.variable and (url := _value(environ, other)) and _bare(url) != _bare(found.table["endpoint"]):
            yield f"{other} is set and not used: {found.variable} says where calls go"
    for other in KEY_VARIABLES:
        if other != used_key and used_key in KEY_VARIABLES and _differs(environ, other, used_key):
            yield f"{other} is set to another key and not used: {found.variable} goes with {used_key}"
    if config.upstreams[0].kind == "openai":
        for version in _VERSIONS:
            if found.variable in _AZURE_KEYS and _value(environ, version):
                yield f"{version} is set and not used: {found.variable} leads to an API that has no versions"
    elif _differs(environ, _VERSIONS[1], _VERSIONS[0]):
        yield f"{_VERSIONS[1]} is set and not used: {_VERSIONS[0]} says which api-version callers have who name none"
    if found.variable == _OPENAI_KEY:
        yield f"{_OPENAI_KEY} is set, and no endpoint: calls go to api.openai.com; {_ENDPOINT} is for Azure"


def _table(kind: str, url: str, provider: Provider) -> dict[str, Any]:
    return {"name": kind, "endpoint": url, "kind": kind, "credential": {"key_env": provider.key_variables[0]}}


def _azure(url: str, key: str, environ: Mapping[str, str]) -> dict[str, Any]:
    upstream = {"name": "azure", "endpoint": _bare(url), "credential": {"key_env": key}}
    if version := _value(environ, _first(environ, _VERSIONS)):
        upstream["api_version"] = version
    return upstream


def _bare(url: str) -> str:
    """Without ``/openai`` and ``/openai/v1``, which some base URLs end in and which are added to each call."""
    return _API.sub("", url)


def _is_openai(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    return _OPENAI_HOST.search(host) is not None or (
        _OPENAI_API.search(parts.path) is not None and _AZURE_HOST.search(host) is None
    )


def _is_azure(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return _AZURE_HOST.search(parts.hostname or "") is not None or _API.search(parts.path) is not None


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    """The first that is set, else the first."""
    return next((name for name in names if _value(environ, name)), names[0])


def _differs(environ: Mapping[str, str], one: str, other: str) -> bool:
    a, b = _value(environ, one), _value(environ, other)
    return bool(a and b) and a != b


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()
