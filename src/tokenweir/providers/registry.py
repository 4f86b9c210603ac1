"""Every provider, by the ``kind`` that users write. A new one is a module beside this one, and a line twice here."""

from typing import Final, Literal

from .anthropic import ANTHROPIC
from .azure_openai import AZURE_OPENAI
from .openai import OPENAI
from .provider import Provider

__all__ = ["KEY_HEADERS", "PROVIDERS", "ProviderKind"]

ProviderKind = Literal["azure", "openai", "anthropic"]

PROVIDERS: Final[dict[ProviderKind, Provider]] = {
    "azure": AZURE_OPENAI,
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
}

KEY_HEADERS: Final = tuple(dict.fromkeys(provider.key_header.encode() for provider in PROVIDERS.values()))
"""Where callers put a key, whichever provider's SDK they use."""
