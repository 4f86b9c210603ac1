"""How a hub is reached, and what its errors mean: shared by the sink that sends and the source that receives."""

from .address import HubAddress
from .client import Connected, connect
from .trouble import Right, Trouble, explain

__all__ = ["Connected", "HubAddress", "Right", "Trouble", "connect", "explain"]
