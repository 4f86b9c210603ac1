"""OpenAI, and whatever understands its API: the model stands in the body, and the key in ``Authorization``."""

from .provider import Probe, Provider

__all__ = ["OPENAI"]

OPENAI = Provider(
    title="OpenAI, and whatever understands its `/v1`",
    prefix="/v1",
    paths=dict.fromkeys(("deployments", "v1", "openai"), "/{tail}"),
    example="https://api.openai.com/v1",
    key_header="authorization",
    key_variables=("OPENAI_API_KEY",),
    url_variable="OPENAI_BASE_URL",
    credential_codes=frozenset(["missing_scope"]),
    credential_messages="missing scopes",
    network_codes=frozenset(["unsupported_country_region_territory"]),
    caller_codes=frozenset(["invalid_organization", "mismatched_organization", "mismatched_project"]),
    probe=Probe("v1", "models"),
)
