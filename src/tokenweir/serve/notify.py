"""Tells systemd how the service is doing, where it started us with ``Type=notify`` (sd_notify(3))."""

import os
import socket

__all__ = ["tell_service_manager"]


def tell_service_manager(state: str) -> None:
    """``READY=1`` or ``STOPPING=1``. Nothing happens where nobody asked, and nothing is raised."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # a name that no file has
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(state.encode(), address)
        except OSError:
            pass  # whoever wanted to know has gone
