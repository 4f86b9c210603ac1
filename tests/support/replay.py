"""An upstream that answers with what was recorded, cut into pieces and framed anew for every call."""

import asyncio
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Recording", "replaying_upstream"]

_DROPPED = {"content-length", "transfer-encoding", "connection", "content-encoding", "keep-alive"}


class Recording:
    """One recorded call."""

    def __init__(self, folder: Path, entry: dict[str, Any]) -> None:
        self.entry = entry
        self.name: str = entry["file"]
        whole = json.loads((folder / self.name).read_text())
        self.request_body: str | None = (whole["request"] or {}).get("body")
        response = whole["response"]
        self.status: int = response["status"]
        self.headers: dict[str, str] = response["headers"] or {}
        self.body = response["body"].encode() if isinstance(response["body"], str) else b""

    @property
    def path(self) -> str:
        endpoint = self.entry["endpoint"]
        if self.entry["api"] == "azure":
            return f"/openai/deployments/recorded/{endpoint}?api-version=2024-10-21"
        return f"/openai/v1/{endpoint}"


class _Replay(asyncio.Protocol):
    def __init__(self, recordings: dict[str, Recording], chance: random.Random) -> None:
        self._recordings = recordings
        self._chance = chance
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        lines = (line.partition(b": ") for line in head.split(b"\r\n")[1:])
        fields = {name.lower(): value for name, _, value in lines}
        if len(rest) < int(fields.get(b"content-length", b"0")):
            return
        self._received = b""
        self._answer(self._recordings[fields[b"x-recording"].decode()])

    def _answer(self, recording: Recording) -> None:
        lines = [f"HTTP/1.1 {recording.status} Recorded".encode()]
        lines += [
            f"{name}: {value}".encode("latin-1", "replace")
            for name, value in recording.headers.items()
            if name.lower() not in _DROPPED and "\n" not in str(value)
        ]
        framing = self._chance.choice(["chunked", "length"])
        if framing == "length":
            lines.append(b"content-length: %d" % len(recording.body))
        else:
            lines.append(b"transfer-encoding: chunked")
        self._transport.write(b"\r\n".join(lines) + b"\r\n\r\n")
        for piece in self._pieces(recording.body):
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece)
        if framing == "chunked":
            self._transport.write(b"0\r\n\r\n")

    def _pieces(self, body: bytes) -> Iterator[bytes]:
        start = 0
        while start < len(body):
            size = self._chance.choice([1, 7, 60, 300, 5000, len(body)])
            yield body[start : start + size]
            start += size


@contextmanager
def replaying_upstream(recordings: dict[str, Recording]) -> Iterator[str]:
    """Its URL. A request names its recording (by file) in the header ``x-recording``."""
    loop = asyncio.new_event_loop()
    chance = random.Random(20261122)
    server = loop.run_until_complete(loop.create_server(lambda: _Replay(recordings, chance), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, name="replay")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()
