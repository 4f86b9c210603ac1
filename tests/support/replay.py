"""An upstream that answers with what was recorded, cut into pieces and framed anew for every call."""

import asyncio
import json
import random
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Recording", "replaying_upstream"]

_DROPPED = {"content-length", "transfer-encoding", "connection", "content-encoding", "keep-alive"}
_PATIENCE = 20.0


class Recording:
    """One recorded call."""

    def __init__(self, folder: Path, entry: dict[str, Any]) -> None:
        self.entry = entry
        self.name: str = entry["file"]
        whole = json.loads((folder / self.name).read_text())
        request = whole["request"] or {}
        self.request_body: str | None = request.get("body")
        said = {name.lower(): value for name, value in (request.get("headers") or {}).items()}
        self.request_type: str = said.get("content-type", "application/json")
        response = whole["response"]
        self.status: int = response["status"]
        self.headers: dict[str, str] = response["headers"] or {}
        self.body = response["body"].encode() if isinstance(response["body"], str) else b""

    @property
    def request(self) -> bytes:
        """Its body as it was sent. Forms are recorded in Base64."""
        if self.request_body is None:
            return json.dumps({"model": "recorded", "messages": [], "stream": self.entry["streaming"]}).encode()
        return b64decode(self.request_body) if self.is_form else self.request_body.encode()

    @property
    def is_form(self) -> bool:
        return self.request_type.startswith("multipart/")

    @property
    def path(self) -> str:
        endpoint = self.entry["endpoint"]
        if self.entry["api"] == "azure":
            return f"/openai/deployments/recorded/{endpoint}?api-version=2024-10-21"
        return f"/openai/v1/{endpoint}"


class _Replay(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(
        self,
        recordings: dict[str, Recording],
        chance: random.Random,
        opened: Callable[["_Replay"], None],
        closed: Callable[["_Replay"], None],
    ) -> None:
        self._recordings = recordings
        self._chance = chance
        self._opened = opened
        self._closed = closed
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._closed(self)

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
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n")
        for piece in self._pieces(recording.body):
            self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece)
        if framing == "chunked":
            self.transport.write(b"0\r\n\r\n")

    def _pieces(self, body: bytes) -> Iterator[bytes]:
        start = 0
        while start < len(body):
            size = self._chance.choice([1, 7, 60, 300, 5000, len(body)])
            yield body[start : start + size]
            start += size


@contextmanager
def replaying_upstream(recordings: dict[str, Recording]) -> Iterator[str]:
    """Its URL. A request names its recording (by file) in the header ``x-recording``."""
    upstream = _Upstream(recordings)
    thread = threading.Thread(target=lambda: asyncio.run(upstream.serve()), name="replay")
    thread.start()
    try:
        yield upstream.url.result(_PATIENCE)
    finally:
        upstream.stop()
        thread.join()


class _Upstream:
    """Serves until told to stop, and ends when its last connection has."""

    def __init__(self, recordings: dict[str, Recording]) -> None:
        self.url: Future[str] = Future()
        self._recordings = recordings
        self._chance = random.Random(20261122)
        self._open: set[_Replay] = set()
        self._told = asyncio.Event()
        self._one_less = asyncio.Event()

    async def serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(self._connection, "127.0.0.1", 0)
        self.url.set_result(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await self._told.wait()
        server.close()
        for replay in list(self._open):
            replay.transport.abort()
        while self._open:
            self._one_less.clear()
            await self._one_less.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._told.set)

    def _connection(self) -> "_Replay":
        return _Replay(self._recordings, self._chance, self._open.add, self._closed)

    def _closed(self, replay: "_Replay") -> None:
        self._open.discard(replay)
        self._one_less.set()
