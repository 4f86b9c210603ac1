"""How a hub is reached, and what its errors mean: shared by the sink that sends and the source that receives."""

from .address import HubAddress
from .client import Client, Connected, Identity, connect
from .failures import Right, Trouble, explain

__all__ = ["Client", "Connected", "HubAddress", "Identity", "Right", "Trouble", "connect", "explain"]
