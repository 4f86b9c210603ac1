"""An upstream that misbehaves as a test says: each connection is played by a function in a thread."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Line", "Play", "ScriptedUpstream", "scripted"]

_PATIENCE = 20.0
_LINGER_NOT = struct.pack("ii", 1, 0)


class Line:
    """One connection, from the upstream's side. ``number`` counts them from 0."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.socket = connection
        self.number = number
        self._read = b""

    def read_head(self) -> bytes:
        """A request's head, lower case, with its empty line. EOFError where none comes any more."""
        while (end := self._read.find(b"\r\n\r\n")) < 0:
            self._more()
        head, self._read = self._read[: end + 4], self._read[end + 4 :]
        return head.lower()

    def read_request(self) -> tuple[bytes, bytes]:
        """A request's head and its body, which must have a length."""
        head = self.read_head()
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        return head, self.read(length)

    def read(self, size: int) -> bytes:
        """So many bytes of what comes."""
        pieces, held = [self._read], len(self._read)
        while held < size:
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise EOFError
            pieces.append(piece)
            held += len(piece)
        whole = b"".join(pieces)
        self._read = whole[size:]
        return whole[:size]

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.socket.close()

    def wait_closed(self) -> None:
        """Reads on until the gateway has closed."""
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(65536):
                pass

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self._read += data


Play = Callable[[Line], None]


class ScriptedUpstream:
    def __init__(self, url: str) -> None:
        self.url = url
        self.closed = threading.Semaphore(0)
        """Released each time that a play has come to its end."""
        self.failures: list[BaseException] = []

    def wait_for_end(self) -> None:
        """Until one more play is over. Raises TimeoutError."""
        if not self.closed.acquire(timeout=_PATIENCE):
            raise TimeoutError("the play is not over")


@contextmanager
def scripted(play: Play, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedUpstream]:
    """Runs ``play`` for each connection until the block ends. What a play raises, beyond the gateway's
    leaving, fails the test."""
    listener = socket.create_server(("127.0.0.1", 0))
    scheme = "https" if tls is not None else "http"
    upstream = ScriptedUpstream(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
    lines: list[Line] = []
    threads: list[threading.Thread] = []

    def run(line: Line) -> None:
        try:
            if tls is not None:
                line.socket = tls.wrap_socket(line.socket, server_side=True)
            play(line)
        except (EOFError, ConnectionError):
            pass  # the gateway left
        except BaseException as error:
            upstream.failures.append(error)
        finally:
            line.socket.close()
            upstream.closed.release()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(_PATIENCE)
                line = Line(connection, len(lines))
                lines.append(line)
                threads.append(threading.Thread(target=run, args=[line]))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield upstream
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for line in lines:
            with contextlib.suppress(OSError):
                line.socket.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
    if upstream.failures:
        raise upstream.failures[0]
