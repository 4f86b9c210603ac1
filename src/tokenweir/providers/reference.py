"""What the documentation prints of the providers."""

from ..records import PathFamily
from .provider import Provider
from .registry import PROVIDERS

__all__ = ["providers_reference"]

_FAMILIES: dict[PathFamily, str] = {
    "deployments": "/openai/deployments/{deployment}/{tail}",
    "v1": "/openai/v1/{tail}",
    "openai": "/openai/{tail}",
    "anthropic": "/anthropic/v1/{tail}",
    "foundry": "/models/{tail} and others",
}

_PAGE = """\
# Providers

Made from the code by `scripts/docs`: one section for each description in `src/tokenweir/providers/`. The heading is the
`kind` of an [upstream](settings.md).
"""


def providers_reference() -> str:
    """All of ``docs/reference/providers.md``."""
    sections = [_PAGE]
    for kind, provider in PROVIDERS.items():
        rows = "".join(f"| {name} | {value} |\n" for name, value in _rows(provider))
        sections.append(f"## `{kind}`\n\n{provider.title}.\n\n| | |\n|---|---|\n{rows}")
    return "\n".join(sections)


def _place(provider: Provider, path: str) -> str:
    return "the same path" if path == "{path}" else f"`{provider.prefix}{path}`"


def _rows(provider: Provider) -> list[tuple[str, str]]:
    paths = [f"`{_FAMILIES[family]}` at {_place(provider, path)}" for family, path in provider.paths.items()]
    codes = sorted(provider.credential_codes), sorted(provider.network_codes), sorted(provider.caller_codes)
    credential, network, caller = (", ".join(f"`{code}`" for code in each) or "none" for each in codes)
    probe = provider.probe
    target = provider.request_target(b"", probe.family, probe.tail, api_version=provider.api_version).decode()
    return [
        ("`endpoint`", f"`{provider.example}`"),
        ("serves callers' paths", ", ".join(paths)),
        ("`api-version`", "passed on, or set" if provider.versioned else "not passed on"),
        ("a key goes into", f"`{provider.key_header}`"),
        ("a managed identity's token is for", f"`{provider.token_scope}`; role {provider.role}"),
        ("headers it must have", ", ".join(f"`{n.decode()}: {v.decode()}`" for n, v in provider.headers) or "none"),
        ("usage of a stream can be asked for", "yes" if provider.takes_stream_options else "is told anyway"),
        ("403 about the gateway's credential", credential),
        ("403 about the gateway's network", network),
        ("401 about a caller's own header", caller),
        ("`doctor` sends", f"`{probe.method} {target}`"),
        ("without a file", f"`{provider.url_variable}`, " + ", ".join(f"`{name}`" for name in provider.key_variables)),
    ]
