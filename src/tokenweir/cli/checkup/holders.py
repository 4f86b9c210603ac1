"""Which process listens on a port, as /proc tells on Linux; elsewhere, and of other users' processes, nobody knows."""

import os
from pathlib import Path

__all__ = ["holder_of"]

_PROC = Path("/proc")
_LISTEN = "0A"


def holder_of(port: int, proc: Path = _PROC) -> str | None:
    """``nginx (pid 17)``; ``None`` where it cannot be seen."""
    sockets = {f"socket:[{inode}]" for name in ("tcp", "tcp6") for inode in _listening(proc / "net" / name, port)}
    if not sockets:
        return None
    for process in proc.glob("[0-9]*"):
        if _holds(process, sockets):
            return f"{_name_of(process)} (pid {process.name})"
    return None


def _listening(table: Path, port: int) -> list[str]:
    """The inodes of the sockets that listen on this port."""
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return []
    wanted = f":{port:04X}"
    return [row[9] for row in rows if len(row) > 9 and row[1].endswith(wanted) and row[3] == _LISTEN]


def _holds(process: Path, sockets: set[str]) -> bool:
    try:
        return any(os.readlink(entry) in sockets for entry in (process / "fd").iterdir())
    except OSError:  # another user's, or gone meanwhile
        return False


def _name_of(process: Path) -> str:
    """The program as it was called; arguments may hold secrets and are left out."""
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        program = Path(words[0].decode(errors="replace")).name
        name = program or (process / "comm").read_text().strip()
    except OSError:
        return "a program"
    if name.startswith("python") and words[1:3] == [b"-m", b"tokenweir"]:
        return "tokenweir"
    if name.startswith("python") and len(words) > 1 and words[1].rpartition(b"/")[2] == b"tokenweir":
        return "tokenweir"
    return name
