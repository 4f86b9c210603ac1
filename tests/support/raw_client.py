"""A client that speaks HTTP byte by byte, so that it can also speak it badly, leave, and not read."""

import json
import socket
import ssl
import struct
from types import TracebackType
from typing import NamedTuple, Self

from tokenweir.simulator import Script

from .relay_thread import KEY

__all__ = ["Answer", "RawClient", "chat_request", "get_request", "upload_head"]

# Nothing here may hang: a test that waits in vain fails after this.
_PATIENCE = 20.0
_LINGER_NOT = struct.pack("ii", 1, 0)


class Answer(NamedTuple):
    """An answer read whole. ``fields`` by lower-case name."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, object]:
        """The body in OpenAI's error shape, every member of it there."""
        error: dict[str, object] = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        return error


class RawClient:
    """One connection to a relay. ``with`` closes it."""

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None = None, *, buffer: int = 0) -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(_PATIENCE)
        self.socket.connect(address)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=address[0])
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    # --- reading; EOFError where the connection ends first ---

    def read_head(self) -> tuple[int, dict[str, str]]:
        head = self._take(self._until(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(line.split(" ")[1]), fields

    def read_chunk(self) -> bytes:
        """The data of the next HTTP chunk; empty for the last."""
        size = int(self._take(self._until(b"\r\n")), 16)
        while len(self._read) < size + 2:
            self._more()
        return self._take(size + 2)[:-2]

    def read_answer(self, *, has_body: bool = True) -> Answer:
        status, fields = self.read_head()
        body = b""
        if not has_body or status in (204, 304) or status < 200:
            pass
        elif fields.get("transfer-encoding") == "chunked":
            while piece := self.read_chunk():
                body += piece
        elif "content-length" in fields:
            while len(self._read) < int(fields["content-length"]):
                self._more()
            body = self._take(int(fields["content-length"]))
        else:
            body = self.read_to_end()
        return Answer(status, fields, body)

    def read(self, size: int) -> bytes:
        """So many bytes of what comes."""
        while len(self._read) < size:
            self._more()
        return self._take(size)

    def read_until(self, mark: bytes) -> bytes:
        """What comes up to these bytes, and them."""
        return self._take(self._until(mark))

    def read_some(self) -> bytes:
        """What one read brings; empty at the end."""
        held, self._read = self._read, b""
        return held or self.socket.recv(65536)

    def read_to_end(self) -> bytes:
        """All that still comes until the other side closes. A reset raises."""
        pieces = [self._read]
        self._read = b""
        while piece := self.socket.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)

    def is_closed(self) -> bool:
        """Waits for the other side to close, in order or by a reset, and to have said nothing more."""
        try:
            return self.read_to_end() == b""
        except ConnectionError:
            return True

    # --- leaving ---

    def close(self) -> None:
        self.socket.close()

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.socket.close()

    # --- inside ---

    def _until(self, mark: bytes) -> int:
        while (end := self._read.find(mark)) < 0:
            self._more()
        return end + len(mark)

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"the connection ended after {self._read[-200:]!r}")
        self._read += data

    def _take(self, size: int) -> bytes:
        taken, self._read = self._read[:size], self._read[size:]
        return taken


def chat_request(
    script: Script | None = None,
    *lines: str,
    deployment: str = "gpt-4o",
    stream: bool = False,
    key: str = KEY,
    body: bytes | None = None,
    version: str = "1.1",
) -> bytes:
    """A chat call as a client sends it; ``script`` tells the simulator what to do."""
    if body is None:
        told = {"messages": [{"role": "user", "content": "What does a weir do?"}], "stream": stream}
        body = json.dumps(told).encode()
    head = [
        f"POST /openai/deployments/{deployment}/chat/completions?api-version=2024-10-21 HTTP/{version}",
        "Host: gateway",
        f"api-key: {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *lines,
    ]
    if script is not None:
        head.append(f"x-simulate: {script.text()}")
    return "\r\n".join([*head, "", ""]).encode() + body


def get_request(target: str, *lines: str, key: str = KEY, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: gateway", f"api-key: {key}", *lines, "", ""]).encode()


def upload_head(size: int | None, *lines: str, deployment: str = "gpt-4o", key: str = KEY) -> bytes:
    """The head of a body that is passed through as it comes; ``None`` means that it comes in chunks."""
    return "\r\n".join(
        [
            f"POST /openai/deployments/{deployment}/uploads?api-version=2024-10-21 HTTP/1.1",
            "Host: gateway",
            f"api-key: {key}",
            "Content-Type: multipart/form-data; boundary=frontier",
            "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}",
            *lines,
            "",
            "",
        ]
    ).encode()
