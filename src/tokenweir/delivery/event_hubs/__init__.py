"""How a hub is reached, and what its errors mean: shared by the sink that sends and the source that receives."""

from .address import HubAddress
from .client import AzureIdentity, Connected, HubClient, connect
from .failures import HubFailure, Right, explain

__all__ = ["HubClient", "Connected", "HubAddress", "AzureIdentity", "Right", "HubFailure", "connect", "explain"]
