"""Where no caller has a key: whether a request is meant for this gateway, and comes from no page of a stranger.

Then whoever reaches the port may use it, and a browser on this machine reaches it for any page that it shows. What such
a page sends has its ``Origin``; and where its site has made its own name lead to 127.0.0.1 (DNS rebinding), the
``Host`` is that name.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from ..errors import NotOurName
from ..wire import Fields
from .settings import ServerSettings

__all__ = ["OwnNames"]


class OwnNames:
    """The names by which this gateway may be asked."""

    def __init__(self, settings: ServerSettings) -> None:
        bound = urlsplit(f"//{settings.data}").hostname or ""
        self._names = {"localhost", bound, *(name.lower() for name in settings.host_names)}
        self._origins = frozenset(settings.cors_origins)

    def __repr__(self) -> str:
        return f"<OwnNames {', '.join(sorted(self._names))}>"

    def check(self, fields: Fields) -> None:
        """Raises ``NotOurName``. HTTP/1.0 knows no Host, and no browser speaks it."""
        host, origin = fields.get(b"host"), fields.get(b"origin")
        if host is not None and not self._is_own(host.decode("ascii")):
            raise NotOurName(
                "No caller of this gateway has a key, so it answers to its own names only, and this `Host` is none of "
                "them. Create a key with `tokenweir keys create NAME`, or name the host in [server] host_names."
            )
        if origin is None:
            return
        page = origin.decode("ascii")
        if "*" not in self._origins and page not in self._origins and not self._is_own(urlsplit(page).netloc):
            raise NotOurName(
                "No caller of this gateway has a key, and the request comes from a page of another site. Create a key "
                "with `tokenweir keys create NAME`, or name the page's origin in [server] cors_origins."
            )

    def _is_own(self, netloc: str) -> bool:
        try:
            name = urlsplit(f"//{netloc}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            return ip_address(name).is_loopback
        except ValueError:
            return False
