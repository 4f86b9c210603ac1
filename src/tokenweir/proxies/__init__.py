"""Forward proxies: which one the environment names for a host, and the tunnel that is asked of it.

environment.py   HTTPS_PROXY, ALL_PROXY, NO_PROXY
proxy.py         the URL of a proxy, taken apart
tunnel.py        CONNECT: what is asked, and what the answer means
"""

from .environment import is_excepted, proxy_url
from .proxy import Proxy
from .tunnel import TunnelAnswer, TunnelRefused, connect_request, open_tunnel

__all__ = [
    "Proxy",
    "TunnelAnswer",
    "TunnelRefused",
    "connect_request",
    "is_excepted",
    "open_tunnel",
    "proxy_url",
]
