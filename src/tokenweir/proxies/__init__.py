"""Forward proxies: which one the environment names for a host, and the tunnel that is asked of it.

environment.py   HTTPS_PROXY, ALL_PROXY, NO_PROXY
proxy.py         the URL of a proxy, taken apart
tunnel.py        CONNECT: what is asked, and what the answer means
blocking.py      a connection made step by step, through a proxy or not
"""

from .blocking import NoConnection, look_up, reach, reason, secure
from .environment import is_excepted, proxy_url
from .proxy import Proxy
from .tunnel import TunnelAnswer, TunnelRefused, connect_request, open_tunnel

__all__ = [
    "NoConnection",
    "Proxy",
    "TunnelAnswer",
    "TunnelRefused",
    "connect_request",
    "is_excepted",
    "look_up",
    "open_tunnel",
    "proxy_url",
    "reach",
    "reason",
    "secure",
]
