"""ClickHouse's HTTP interface over chdb, which is ClickHouse in this process. A program: directory, port,
passwords, and the file of a certificate and its key if it is to be HTTPS.

Each request gets a session of its own, as from a server. What only a server checks is done here: the password, that
there is one statement, and that no answer goes into a file of its own. All the rest is the engine's: grammar,
settings, the grants of its only user.
"""

import base64
import json
import os
import re
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb

# Of the interface itself, and no settings.
TRANSPORT = {
    "query",
    "query_id",
    "database",
    "wait_end_of_query",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "enable_http_compression",
    "client_protocol_version",
}
AUTHENTICATION_FAILED, SYNTAX_ERROR = 516, 62
INTO_OUTFILE = re.compile(r"\binto\s+outfile\b", re.IGNORECASE)
CODE = re.compile(r"Code: (\d+)\.")


class Refused(Exception):
    """The text begins as the engine's do."""


class Bridge(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, engine: str, port: int, passwords: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine = engine
        self.passwords = passwords
        self.kept_open = chdb.connect(engine)
        self.version: str = self.kept_open.query("SELECT version()", "TSV").data().strip()

    def answer(self, database: str | None, statement: bytes, settings: dict[str, str], values: dict[str, str]) -> bytes:
        connection = chdb.connect(self.engine)
        try:
            if database is not None:
                connection.query(f"USE `{database}`")
            self._check(connection, statement)
            # All at once, as a server takes them: after `readonly` nothing could be set any more.
            if settings:
                connection.query("SET " + ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items()))
            return bytes(connection.query(statement.decode(), "TabSeparated", params=values or None).bytes())
        except chdb.ChdbError as error:
            raise Refused(str(error)) from error
        finally:
            connection.close()

    def _check(self, connection: Any, statement: bytes) -> None:
        text = statement.decode()
        if text.lstrip()[:6].upper() == "INSERT":
            return
        if INTO_OUTFILE.search(text):
            raise Refused(f"Code: {SYNTAX_ERROR}. DB::Exception: INTO OUTFILE is not allowed. (SYNTAX_ERROR)")
        if ";" not in text:
            return
        connection.query(f"SET max_query_size = {1 << 30}")
        connection.query(f"SELECT ignore(formatQuerySingleLine({quoted(text)}))")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer's head and body leave in one piece, and need not wait for each other's acknowledgement.
    wbufsize = -1
    server: Bridge

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        params = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        try:
            self._check_password()
            answer = self.server.answer(
                params.get("database"),
                b"\n".join(part for part in (params.get("query", "").encode(), body) if part),
                {name: value for name, value in params.items() if name not in TRANSPORT and name[:6] != "param_"},
                {name[6:]: value for name, value in params.items() if name[:6] == "param_"},
            )
            self._send(200, answer)
        except Refused as refused:
            code = CODE.match(str(refused))
            text = f"{refused} (version {self.server.version})\n"
            self._send(500, text.encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1"})

    do_GET = do_POST

    def _check_password(self) -> None:
        given = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        user, _, password = given.partition(":")
        if self.server.passwords.get(user) != password:
            raise Refused(
                f"Code: {AUTHENTICATION_FAILED}. DB::Exception: {user}: Authentication failed: password is incorrect, "
                "or there is no user with such name. (AUTHENTICATION_FAILED)"
            )

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(body)),
            "X-ClickHouse-Timezone": "UTC",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def quoted(value: str) -> str:
    return "'{}'".format(value.replace("\\", "\\\\").replace("'", "\\'"))


def main() -> None:
    directory, port, passwords = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    bridge = Bridge(f"{directory}/data?config-file={directory}/config.xml", port, passwords)
    if certificate := "".join(sys.argv[4:]):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        bridge.socket = context.wrap_socket(bridge.socket, server_side=True)
    threading.Thread(target=bridge.serve_forever, daemon=True).start()
    sys.stdout.write(f"{bridge.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()  # until whoever started this lets go
    bridge.shutdown()
    os._exit(0)  # now and then the engine's threads do not end; what it has said to be written is on disk


if __name__ == "__main__":
    main()
