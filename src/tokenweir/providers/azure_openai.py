"""Azure OpenAI, on its own and in Microsoft Foundry."""

import re

from .provider import Probe, Provider

__all__ = ["AZURE_OPENAI"]

AZURE_OPENAI = Provider(
    title="Azure OpenAI, and OpenAI's APIs in Microsoft Foundry",
    prefix="/openai",
    paths={
        "deployments": "/deployments/{deployment}/{tail}",
        "v1": "/v1/{tail}",
        "openai": "/{tail}",
        "foundry": "{path}",
    },
    versioned=frozenset(["deployments", "openai"]),
    api_version="2024-10-21",
    example="https://<your-resource>.openai.azure.com",
    mistakes=((re.compile(r"/openai(/v1)?$"), "ends in /openai, which is added to each call; leave it away"),),
    key_header="api-key",
    key_variables=("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY"),
    url_variable="AZURE_OPENAI_ENDPOINT",
    bills_end_tokens=True,
    retires_on_schedule=True,
    # 401: a wrong key, an expired token, an identity without the role. 403: a key where only Entra ID signs in.
    credential_codes=frozenset(["AuthenticationTypeDisabled", "PermissionDenied"]),
    network_messages="virtual network|firewall rules|public access is disabled|private endpoint",  # its code is "403"
    # Listing models asks for the same rights as a call.
    probe=Probe("openai", "models"),
)
