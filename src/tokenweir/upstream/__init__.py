"""How to talk to an upstream: its dialect, its credential, its connections."""

from .connection import Receiver, UpstreamConnection
from .credentials import Credential, credential_for
from .dialect import Body, including_usage, request_target, with_included_usage, with_members, with_model
from .endpoint import Endpoint
from .pool import Pool
from .refused import Refused, refused_by
from .settings import CredentialSettings, UpstreamSettings
from .upstreams import Upstream, open_upstreams

__all__ = [
    "Credential",
    "CredentialSettings",
    "Endpoint",
    "Pool",
    "Receiver",
    "Refused",
    "Upstream",
    "UpstreamConnection",
    "UpstreamSettings",
    "credential_for",
    "open_upstreams",
    "refused_by",
    "request_target",
    "with_included_usage",
    "with_members",
    "including_usage",
    "Body",
    "with_model",
]
