"""How to talk to an upstream: its credential, its connections, and what its requests' bodies need."""

from .connection import Receiver, UpstreamConnection
from .credentials import Credential, credential_for
from .endpoint import Endpoint
from .pool import Pool
from .request_body import Body, including_usage, with_field, with_included_usage, with_members, with_model
from .settings import CredentialSettings, UpstreamSettings
from .tls import keep_large_blocks
from .upstreams import Upstream, open_upstreams

__all__ = [
    "Credential",
    "CredentialSettings",
    "Endpoint",
    "Pool",
    "Receiver",
    "Upstream",
    "UpstreamConnection",
    "UpstreamSettings",
    "credential_for",
    "keep_large_blocks",
    "open_upstreams",
    "with_field",
    "with_included_usage",
    "with_members",
    "including_usage",
    "Body",
    "with_model",
]
