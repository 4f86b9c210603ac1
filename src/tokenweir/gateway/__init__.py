"""The life of one request: accept, admit, choose, connect, forward, settle."""

from .relay import SWEEP_SECONDS, Log, Relay
from .settings import ClientGonePolicy, ServerSettings

__all__ = ["SWEEP_SECONDS", "ClientGonePolicy", "Log", "Relay", "ServerSettings"]
