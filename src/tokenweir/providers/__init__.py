"""What a kind of upstream is: its addresses, its credentials, what its requests need and how it refuses; one module
each."""

from .access_refusal import AccessRefusal, access_refusal
from .provider import Probe, Provider
from .registry import KEY_HEADERS, PROVIDERS, ProviderKind

__all__ = [
    "KEY_HEADERS",
    "PROVIDERS",
    "AccessRefusal",
    "Probe",
    "Provider",
    "ProviderKind",
    "access_refusal",
]
