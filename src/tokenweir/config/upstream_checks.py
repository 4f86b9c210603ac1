"""What upstreams and the deployments on them must be. Keys, and what may be one, are never repeated."""

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigError, nearest, quoted
from ..gateway.settings import ServerSettings
from ..providers import PROVIDERS
from ..proxies import Proxy, proxy_url
from ..upstream.settings import UpstreamSettings
from .addresses import is_loopback, parse_address
from .model import Config
from .problems import Problems, no_certificates, too_small, unreadable
from .setting_path import Path
from .upstream_variables import KEY_VARIABLES

__all__ = ["any_upstream", "credentials", "endpoints", "targets", "upstream_amounts"]

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_OWN = "name the resource's (without a file, by AZURE_OPENAI_BASE_URL, where the SDK's variables are for callers)"
_HEADER_SOURCE = re.compile(r"header:[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_MOST_WEIGHT = 1000
_WAYS_TO_SIGN_IN = (
    *("key_env", "key", "key_file", "key_vault", "managed_identity", "workload_identity", "client_secret_env"),
    *("pass_through", "pass_token"),
)
_BELONG_TO = {
    "client_id": ("managed_identity", "workload_identity", "client_secret_env", "key_vault"),
    "tenant_id": ("workload_identity", "client_secret_env"),
    "token_file": ("workload_identity",),
    "authority": ("managed_identity", "workload_identity", "client_secret_env", "key_vault"),
}
"""What only some ways to sign in ask for."""
_VAULT = re.compile(r"https://[^/?#]+\.[^/?#]+/secrets/[0-9A-Za-z-]+(/[0-9a-f]+)?")


def any_upstream(config: Config, environ: Mapping[str, str]) -> Problems:
    if not config.upstreams:
        text = (
            "there is none, so calls have nowhere to go; add one (`tokenweir config example` shows how), "
            "or set AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY, as for the SDK (or AZURE_OPENAI_BASE_URL and "
            "AZURE_OPENAI_KEY, as for the SSE proxy function)"
        )
        if key := next((name for name in KEY_VARIABLES if environ.get(name)), None):
            text = f"there is none: {key} is set, and AZURE_OPENAI_ENDPOINT is not; set it to your resource's address"
        yield ("upstreams",), text


def endpoints(config: Config, environ: Mapping[str, str]) -> Problems:
    for upstream in config.upstreams:
        url, path = _http_url(upstream.endpoint), (*_of(upstream), "endpoint")
        provider = PROVIDERS[upstream.kind]
        if url is None:
            yield path, f"is not an http(s) URL; write it like {provider.example}"
        elif "<" in url.netloc:
            yield path, "still has a <placeholder> in it; put the name of your Azure OpenAI resource there"
        elif url.username or url.query or url.fragment:
            yield path, "must have no user name, query or fragment; a key belongs into `credential`"
        elif mistake := provider.mistake_in(url.netloc + url.path):
            yield path, mistake
        elif _is_own(config.server, url):
            yield path, f"is this gateway's own address, so calls would go round and round; {_OWN}"
        yield from _no_proxy(upstream, url, environ)
        yield from no_certificates((*_of(upstream), "ca_bundle"), upstream.ca_bundle)


def _no_proxy(upstream: UpstreamSettings, url: SplitResult | None, environ: Mapping[str, str]) -> Problems:
    """A proxy that cannot be used, of the upstream itself or of the environment."""
    path = (*_of(upstream), "proxy")
    named: str | None
    if upstream.proxy:
        if _http_url(upstream.proxy) is None and "://" not in upstream.proxy:
            yield path, "is not the URL of a proxy; write it like http://proxy.example:3128"
            return
        named, where = upstream.proxy, ""
    elif upstream.proxy is None and url is not None and url.scheme == "https":
        named, where = proxy_url(url.hostname or "", url.port or 443, environ), "comes from HTTPS_PROXY or ALL_PROXY: "
    else:
        return
    try:
        if named:
            Proxy.parse(named)
    except ConfigError as error:
        yield path, f"{where}{error}"


def _is_own(server: ServerSettings, url: SplitResult) -> bool:
    """Whether it leads to the data port on this machine, as far as can be told by looking."""
    try:
        host, port = parse_address(server.data)
    except ConfigError:
        return False
    at = url.hostname or ""
    own = (url.port or (443 if url.scheme == "https" else 80)) == port
    return own and is_loopback(at) and (is_loopback(host) or host in ("0.0.0.0", "::"))


def credentials(config: Config, environ: Mapping[str, str]) -> Problems:
    for upstream in config.upstreams:
        credential, path = upstream.credential, (*_of(upstream), "credential")
        ways = [way for way in _WAYS_TO_SIGN_IN if getattr(credential, way)]
        if len(ways) != 1:
            found = "names no way to sign in" if not ways else "has " + " and ".join(f"`{way}`" for way in ways)
            yield path, f"{found}; give exactly one of " + ", ".join(f"`{way}`" for way in _WAYS_TO_SIGN_IN)
            continue
        for name, owners in _BELONG_TO.items():
            if getattr(credential, name) and ways[0] not in owners:
                yield (*path, name), f"belongs to {' or '.join(f'`{owner}`' for owner in owners)}, which is not there"
        if credential.key_env:
            yield from _key_variable((*path, "key_env"), credential.key_env, "a key of the resource", environ)
        elif credential.key_file:
            yield from unreadable((*path, "key_file"), credential.key_file)
        elif credential.key_vault and not _VAULT.fullmatch(credential.key_vault):
            yield (*path, "key_vault"), "is no secret's identifier, like https://VAULT.vault.azure.net/secrets/NAME"
        elif credential.client_secret_env:
            for name in ("tenant_id", "client_id"):
                if not getattr(credential, name):
                    yield (*path, name), "is missing; `client_secret_env` needs it"
            where = (*path, "client_secret_env")
            yield from _key_variable(where, credential.client_secret_env, "the application's secret", environ)


def _key_variable(path: Path, name: str, what: str, environ: Mapping[str, str]) -> Problems:
    if environ.get(name, "").strip():
        return
    if _VARIABLE.fullmatch(name):
        yield path, f"the environment variable {name} is not set; set it to {what}"
    else:
        yield path, "is not a variable that is set; give the name of one, not the key itself"


def targets(config: Config, environ: Mapping[str, str]) -> Problems:
    known = [upstream.name for upstream in config.upstreams]
    for deployment in config.deployments:
        path = ("deployments", f'"{deployment.name}"', "targets")
        if not deployment.targets:
            yield path, "is empty; name at least one upstream"
        for number, target in enumerate(deployment.targets, 1):
            if target.upstream not in known:
                meant = nearest(target.upstream, known)
                hint = f"did you mean `{meant}`?" if meant else "there is " + (", ".join(known) or "none")
                yield (*path, f"#{number}", "upstream"), f'no upstream is called "{target.upstream}"; {hint}'


def upstream_amounts(config: Config, environ: Mapping[str, str]) -> Problems:
    for upstream in config.upstreams:
        waits = ("connect_timeout", "first_byte_timeout", "idle_timeout")
        yield from too_small(_of(upstream), upstream, "max_connections", *waits)
    for deployment in config.deployments:
        whole = ("deployments", f'"{deployment.name}"')
        for number, target in enumerate(deployment.targets, 1):
            if not 0 <= target.weight <= _MOST_WEIGHT:
                text = f"is {target.weight}; give a whole number from 0 (no new calls) to {_MOST_WEIGHT}"
                yield (*whole, "targets", f"#{number}", "weight"), text
        if not 0 <= deployment.retries <= 1:
            yield (*whole, "retries"), f"is {deployment.retries:g}; give a share from 0 to 1, like 0.2"
        for source in deployment.affinity:
            if source not in ("prompt", "prompt_cache_key") and not _HEADER_SOURCE.fullmatch(source):
                known = "there are prompt_cache_key, prompt, and headers like header:x-session-id"
                yield (*whole, "affinity"), f"{quoted(source)} is none: {known}"
        if deployment.breaker is not None:
            path = (*whole, "breaker")
            yield from too_small(path, deployment.breaker, "failures", "interval", "longest", "connect_within")
            if deployment.breaker.answer_within is not None:
                yield from too_small(path, deployment.breaker, "answer_within")


def _of(upstream: UpstreamSettings) -> Path:
    return ("upstreams", f'"{upstream.name}"')


def _http_url(text: str) -> SplitResult | None:
    try:
        url = urlsplit(text.strip())
        return url if url.scheme in ("http", "https") and url.hostname and url.port != 0 else None
    except ValueError:
        return None
