"""The life of one request: accept, admit, choose, connect, forward, settle."""

from .asgi import HostedCall
from .relay import SWEEP_SECONDS, Log, Relay
from .settings import ClientGonePolicy, ServerSettings
from .tracing import Tracing

__all__ = ["SWEEP_SECONDS", "ClientGonePolicy", "HostedCall", "Log", "Relay", "ServerSettings", "Tracing"]
