"""Anthropic's Messages API: Claude in Microsoft Foundry, or at Anthropic itself.

Foundry: ``https://<resource>.services.ai.azure.com/anthropic``, with a key of the resource or a token of Entra ID.
https://platform.claude.com/docs/build-with-claude/claude-in-microsoft-foundry, https://docs.claude.com/en/api/errors
"""

import re

from .provider import Probe, Provider

__all__ = ["ANTHROPIC"]

ANTHROPIC = Provider(
    title="Anthropic: Claude in Microsoft Foundry, or at Anthropic itself",
    prefix="/v1",
    paths={"anthropic": "/{tail}"},
    example="https://<your-resource>.services.ai.azure.com/anthropic",
    mistakes=(
        (
            re.compile(r"\.(services\.ai|openai|cognitiveservices)\.azure\.(com|us|cn)(:\d+)?(/openai)?(/v1)?$"),
            "leads to OpenAI's models; write it like https://<your-resource>.services.ai.azure.com/anthropic",
        ),
        (re.compile(r"/messages$"), "ends in /messages, which is added to each call; leave it away"),
    ),
    key_header="x-api-key",
    key_variables=("ANTHROPIC_FOUNDRY_API_KEY", "ANTHROPIC_API_KEY"),
    url_variable="ANTHROPIC_FOUNDRY_BASE_URL",
    token_scope="https://ai.azure.com/.default",
    role="Azure AI User",
    headers=((b"anthropic-version", b"2023-06-01"),),  # the only one there has been since
    takes_stream_options=False,
    # A 401 is an `authentication_error`. A 403 is a `permission_error`: the key may not use what was asked for.
    credential_codes=frozenset(["permission_error"]),
    # Foundry has no list of models. An empty request is refused without charge, and only to whoever is signed in.
    probe=Probe("anthropic", "messages/count_tokens", "POST", b"{}", frozenset([400])),
)
