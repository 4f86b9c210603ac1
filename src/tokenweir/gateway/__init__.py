"""The life of one call: see docs/life-of-a-request.md."""

from .admit import LimitHolder, LimitRule
from .asgi import HostedCall
from .asgi_socket import HostedSocket
from .data_plane import SWEEP_SECONDS, DataPlane
from .services import RecordLog
from .settings import ClientGonePolicy, ServerSettings
from .tracing import Tracing

__all__ = [
    "SWEEP_SECONDS",
    "ClientGonePolicy",
    "DataPlane",
    "HostedCall",
    "HostedSocket",
    "LimitHolder",
    "LimitRule",
    "RecordLog",
    "ServerSettings",
    "Tracing",
]
