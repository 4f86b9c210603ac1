"""The doctor says of each thing whether it works, and how to fix it, against real servers on loopback."""

import json
import os
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme

from support.engines import SHARED, Engine, new_engine
from support.servers import closed_port
from tokenweir.cli.checkup.upstream import check_upstream
from tokenweir.journal import Journal, JournalSettings, read_status
from tokenweir.records import SystemClock, TargetStatus
from tokenweir.simulator import SimulatorSettings, running_simulator
from tokenweir.upstream import CredentialSettings, UpstreamSettings

Tokenweir = Callable[..., Any]


class Answers(BaseHTTPRequestHandler):
    """An upstream that always gives the same answer, and remembers what it was asked."""

    status: ClassVar[int] = 200
    location: ClassVar[str | None] = None
    asked: ClassVar[list[tuple[str, dict[str, str]]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(self.status)
        if self.location:
            self.send_header("Location", self.location)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    """Says nothing of clients that leave in the middle of a handshake: that is what some tests are about."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Tunnel(socketserver.BaseRequestHandler):
    """A forward proxy for one CONNECT at a time."""

    asked: ClassVar[list[str]] = []
    refuses: ClassVar[bool] = False

    def handle(self) -> None:
        head = self.request.recv(65536).decode()
        Tunnel.asked.append(head)
        if self.refuses:
            self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        host, _, port = head.split()[1].rpartition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_copy, args=(upstream, self.request))
            back.start()
            _copy(self.request, upstream)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    """The port on which a server answers inside the block."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def upstream(
    status: int = 200, *, authority: trustme.CA | None = None, name: str = "localhost", location: str | None = None
) -> Iterator[tuple[int, list[tuple[str, dict[str, str]]]]]:
    """An upstream on loopback: its port and what it was asked; with TLS where an authority is given."""
    handler = type("Handler", (Answers,), {"status": status, "asked": [], "location": location})
    server = Quiet(("127.0.0.1", 0), handler)
    if authority is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name).configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server) as port:
        yield port, handler.asked  # type: ignore[attr-defined]


def settings(endpoint: str, **others: Any) -> UpstreamSettings:
    usual: dict[str, Any] = {"credential": CredentialSettings(key="sk-upstream"), "connect_timeout": 5}
    return UpstreamSettings(name="sweden", endpoint=endpoint, **(usual | others))


def said(one: UpstreamSettings) -> list[tuple[str, str]]:
    """What the doctor finds of an upstream, without its name."""
    found = list(check_upstream(one, os.environ))
    assert all(finding.fix for finding in found if finding.status != "ok")
    return [(finding.status, finding.what.removeprefix("upstream sweden: ")) for finding in found]


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def test_a_good_upstream_is_asked_once_with_our_key_and_its_version() -> None:
    with upstream() as (port, asked):
        found = said(settings(f"http://localhost:{port}", api_version="2025-01-01-preview"))
    assert [status for status, _ in found] == ["ok", "ok", "ok"]
    assert "127.0.0.1" in found[0][1] and found[1][1] == f"connected to localhost:{port}"
    assert found[2][1].startswith("signed in; answers in ")
    [(path, headers)] = asked
    assert path == "/openai/models?api-version=2025-01-01-preview"
    assert headers["api-key"] == "sk-upstream"


@pytest.mark.parametrize(("base", "path"), [("", "/v1/models"), ("/v1", "/v1/models"), ("/x", "/x/v1/models")])
def test_an_openai_upstream_is_asked_in_its_own_way(base: str, path: str) -> None:
    with upstream() as (port, asked):
        said(settings(f"http://localhost:{port}{base}", kind="openai"))
    assert asked[0][0] == path
    assert asked[0][1]["authorization"] == "Bearer sk-upstream"


@pytest.mark.parametrize(("key", "verdict"), [("sk-upstream", "signed in"), ("sk-wrong", "the credential is not")])
def test_claude_is_asked_for_what_costs_nothing(key: str, verdict: str) -> None:
    with running_simulator(SimulatorSettings(key="sk-upstream")) as sim:
        credential = CredentialSettings(key=key)
        last = said(settings(f"{sim.url}/anthropic", kind="anthropic", credential=credential))[-1]
        [call] = sim.calls
    assert last[1].startswith(verdict)
    assert (call.method, call.path, call.prompt_tokens) == ("POST", "/anthropic/v1/messages/count_tokens", 0)


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        (401, "bad", "the credential is not accepted (401 to GET /openai/models"),
        (403, "bad", "we are not allowed in (403"),
        (404, "bad", "there is no such API (404"),
        (429, "warn", "answers 429 to GET"),
        (503, "warn", "answers 503 to GET"),
    ],
)
def test_a_status_is_said_in_words(status: int, verdict: str, words: str) -> None:
    with upstream(status) as (port, _):
        last = said(settings(f"http://localhost:{port}"))[-1]
    assert last[0] == verdict and last[1].startswith(words)


def test_a_redirect_names_where_to_go() -> None:
    with upstream(301, location="https://elsewhere.example/x?secret") as (port, _):
        assert said(settings(f"http://localhost:{port}"))[-1] == ("bad", "it redirects to elsewhere.example (301)")


def test_callers_own_keys_are_not_ours_to_try() -> None:
    with upstream(401) as (port, asked):
        found = said(settings(f"http://localhost:{port}", credential=CredentialSettings(pass_through=True)))
    assert found[-1][0] == "ok" and found[-1][1].endswith("callers sign in with their own keys")
    assert "api-key" not in asked[0][1]


def test_a_certificate_is_proved_against_the_bundle(authority: trustme.CA, here: Path) -> None:
    authority.cert_pem.write_to_path("ca.pem")
    with upstream(authority=authority) as (port, _):
        found = said(settings(f"https://localhost:{port}", ca_bundle="ca.pem", proxy=""))
    assert [status for status, _ in found] == ["ok"] * 4
    assert found[2][1] == "TLSv1.3 with a certificate that is trusted"


def test_an_unknown_authority_is_refused_before_the_key_is_sent(authority: trustme.CA) -> None:
    with upstream(authority=authority) as (port, asked):
        last = said(settings(f"https://localhost:{port}", proxy=""))[-1]
    assert last[0] == "bad" and "issuer certificate" in last[1]
    assert asked == []


def test_a_certificate_for_another_name_is_refused(authority: trustme.CA, here: Path) -> None:
    authority.cert_pem.write_to_path("ca.pem")
    with upstream(authority=authority, name="other.example") as (port, _):
        last = said(settings(f"https://localhost:{port}", ca_bundle="ca.pem", proxy=""))[-1]
    assert last[0] == "bad" and "not valid for 'localhost'" in last[1]


def test_https_proxy_is_used_and_named(authority: trustme.CA, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.cert_pem.write_to_path("ca.pem")
    Tunnel.asked.clear()
    proxy = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel)
    with upstream(authority=authority) as (port, asked), serving(proxy) as proxy_port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:p%40ss@127.0.0.1:{proxy_port}")
        found = said(settings(f"https://localhost:{port}", ca_bundle="ca.pem"))
    assert [status for status, _ in found] == ["ok"] * 4
    assert found[1][1] == f"connected to the proxy 127.0.0.1:{proxy_port}"
    assert len(asked) == 1
    assert f"CONNECT localhost:{port} " in Tunnel.asked[0]
    assert "Proxy-Authorization: Basic dXNlcjpwQHNz" in Tunnel.asked[0]


def test_a_proxy_that_refuses_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tunnel, "refuses", True)
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel)) as port:
        last = said(settings("https://sweden.example", proxy=f"http://u:sk-proxy@127.0.0.1:{port}"))[-1]
    assert last[0] == "bad"
    assert last[1].startswith(f"no way through the proxy 127.0.0.1:{port} (127.0.0.1:{port} answered 407)")
    assert "sk-proxy" not in last[1]


def test_nothing_listening_is_no_connection() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        last = said(settings(f"http://localhost:{port}"))[-1]
    assert last == ("bad", f"no connection to localhost:{port} (Connection refused)")


def test_a_name_without_an_address_is_told_from_a_closed_door() -> None:
    [(status, what)] = said(settings("http://nosuch.invalid"))
    assert status == "bad" and what.startswith("the name nosuch.invalid has no address here (")


def test_what_is_not_http_is_no_answer() -> None:
    class Rude(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(b"220 smtp.example ready\r\n")

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Rude)) as port:
        last = said(settings(f"http://localhost:{port}"))[-1]
    assert last[0] == "bad" and last[1].startswith("no answer to GET /openai/models")


def test_a_missing_key_ends_it_before_anything_is_sent() -> None:
    [(status, what)] = said(settings("http://localhost:1", credential=CredentialSettings(key_env="NOT_SET")))
    assert status == "bad" and "NOT_SET" in what


def test_a_key_that_no_header_can_hold_is_said_in_words_without_the_key() -> None:
    [(status, what)] = said(settings("http://localhost:1", credential=CredentialSettings(key="sk-one\nsk-two")))
    assert status == "bad" and what.endswith("`credential.key` holds a character that cannot be in a key")
    assert "sk-" not in what


@pytest.fixture
def configured(here: Path) -> Callable[[str], None]:
    def write(text: str) -> None:
        (here / "tokenweir.toml").write_text(text)

    return write


def findings(ran: Any) -> dict[str, tuple[str, str]]:
    """What was found, by the words before the colon."""
    found = {}
    for finding in json.loads(ran.out):
        what, _, rest = finding["what"].partition(":")
        found[what] = (finding["status"], rest.strip())
    return found


def ports(*numbers: int) -> str:
    return f'[server]\ndata = "127.0.0.1:{numbers[0]}"\nadmin = "127.0.0.1:{numbers[1]}"\n'


def upstream_table(port: int) -> str:
    endpoint = f"http://localhost:{port}"
    return f'[[upstreams]]\nname = "sweden"\nendpoint = "{endpoint}"\ncredential = {{ key = "sk-upstream" }}\n'


def test_all_well_is_exit_code_0_and_nothing_is_made(
    tokenweir: Tokenweir, configured: Callable[[str], None], here: Path
) -> None:
    with upstream() as (port, _):
        configured(ports(0, 0) + upstream_table(port))
        ran = tokenweir("doctor")
    assert ran.exit_code == 0
    assert "✗" not in ran.out
    assert "✓ configuration: good, from tokenweir.toml" in ran.out
    assert "✓ vocabularies: both are whole" in ran.out
    assert "✓ upstream sweden: signed in" in ran.out
    assert sorted(path.name for path in here.iterdir()) == ["tokenweir.toml"]
    assert "sk-upstream" not in ran.out + ran.err


def test_anything_broken_is_exit_code_1_with_its_fix(tokenweir: Tokenweir, configured: Callable[[str], None]) -> None:
    with upstream(401) as (port, _):
        configured(ports(0, 0) + upstream_table(port))
        ran = tokenweir("doctor")
    assert ran.exit_code == 1
    line, fix = ran.out.splitlines()[-2:]
    assert line.startswith("✗ upstream sweden: the credential is not accepted")
    assert fix.startswith("  → use a key of this very resource")


def test_nothing_configured_is_a_finding_and_the_rest_is_still_looked_at(tokenweir: Tokenweir) -> None:
    ran = tokenweir("doctor", "--json")
    assert ran.exit_code == 1
    found = findings(ran)
    assert found["vocabularies"][0] == "ok"
    [problem] = [finding["what"] for finding in json.loads(ran.out) if finding["status"] == "bad"]
    assert problem.startswith("configuration: [[upstreams]]: there is none, so calls have nowhere to go")


def test_a_port_held_by_another_program_is_found(tokenweir: Tokenweir, configured: Callable[[str], None]) -> None:
    with upstream() as (port, _), socket.create_server(("127.0.0.1", 0)) as other:
        held = other.getsockname()[1]
        configured(ports(held, 0) + upstream_table(port))
        found = findings(tokenweir("doctor", "--json"))
    status, what = found["data port"]
    assert status == "bad" and what.startswith(f"127.0.0.1:{held} is held by ")
    assert what.endswith(f"(pid {os.getpid()})")
    assert found["admin port"][0] == "ok"


def test_what_cannot_be_written_is_found(tokenweir: Tokenweir, configured: Callable[[str], None], here: Path) -> None:
    (here / "file").write_text("")
    with upstream() as (port, _):
        configured(ports(0, 0) + upstream_table(port) + '[journal]\ndirectory = "file/journal"\n')
        found = findings(tokenweir("doctor", "--json"))
    assert found["journal"][0] == "bad" and found["journal"][1].endswith("file is a file, not a directory")


def test_a_file_that_is_no_ledger_is_found(tokenweir: Tokenweir, configured: Callable[[str], None], here: Path) -> None:
    (here / "ledger.duckdb").write_text("not a database, however long one looks at it")
    with upstream() as (port, _):
        configured(ports(0, 0) + upstream_table(port) + '[ledger]\nurl = "duckdb:ledger.duckdb"\n')
        ran = tokenweir("doctor", "--json")
    assert [finding["what"][:7] for finding in json.loads(ran.out) if finding["status"] == "bad"] == ["ledger:"]


@pytest.fixture(params=SHARED)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return new_engine(request, tmp_path)


def test_a_ledger_behind_a_server_is_opened_and_its_password_not_shown(
    tokenweir: Tokenweir, configured: Callable[[str], None], engine: Engine
) -> None:
    with upstream() as (port, _):
        configured(ports(0, 0) + upstream_table(port) + f'[ledger]\nurl = "{engine.url}"\n')
        assert findings(tokenweir("doctor", "--json"))["ledger"][0] == "ok"
        away = f"{engine.url.partition(':')[0]}://ada:hunter2@127.0.0.1:{closed_port()}/books"
        configured(ports(0, 0) + upstream_table(port) + f'[ledger]\nurl = "{away}"\n')
        ran = tokenweir("doctor", "--json")
    status, what = findings(ran)["ledger"]
    assert status == "bad" and "127.0.0.1" in what
    assert "hunter2" not in ran.out + ran.err


def test_that_no_ledger_is_kept_is_fine(tokenweir: Tokenweir, configured: Callable[[str], None]) -> None:
    with upstream() as (port, _):
        configured(ports(0, 0) + upstream_table(port) + '[ledger]\nurl = "none"\n')
        found = findings(tokenweir("doctor", "--json"))
    assert found["ledger"] == ("ok", "none is kept here; records go to the sinks")


def test_it_tells_how_often_upstreams_refused_this_gateway(tokenweir: Tokenweir, minimal: Path) -> None:
    journal = Journal.open(Path("tokenweir-data/journal/relay-0"), JournalSettings(), SystemClock())
    journal.gauges["upstream_refusals"] = 3
    while (status := read_status(journal.directory)) is None or not status.gauges:
        pass
    said = tokenweir("doctor").out
    journal.close()
    assert "relay-0: upstreams refused this gateway's own credential or network 3 times since it began" in said
    assert "refused this gateway" not in tokenweir("doctor").out  # that run is over


def test_it_tells_what_is_missing_in_a_journal(tokenweir: Tokenweir, minimal: Path) -> None:
    directory = Path("tokenweir-data/journal/relay-0")
    journal = Journal.open(directory, JournalSettings(), SystemClock())
    replica = journal.replica
    journal.next_seq()  # and no record with it
    journal.close()
    assert "are missing" not in tokenweir("doctor").out
    Journal.open(directory, JournalSettings(), SystemClock()).close()

    ran = tokenweir("doctor")

    assert "journal of relay-0: up to 1 records are missing, 0 segments were cut or removed" in ran.out
    assert f"records 1 to 1 of {replica} are missing" in ran.out
    (directory / "missing.jsonl").unlink()
    assert "are missing" not in tokenweir("doctor").out


def test_it_tells_of_each_target_whether_it_takes_calls(tokenweir: Tokenweir, minimal: Path) -> None:
    journal = Journal.open(Path("tokenweir-data/journal/relay-0"), JournalSettings(), SystemClock())
    well = TargetStatus("gpt", "france", "gpt", 2, 1.0, "closed")
    journal.targets = [TargetStatus("gpt", "sweden", "gpt-ptu", 1, 1.0, "open", "429", 6.54), well]
    while (status := read_status(journal.directory)) is None or not status.targets:
        pass
    found = findings(tokenweir("doctor", "--json"))
    journal.close()
    name = "deployment gpt in relay-0"
    assert found[name] == ("ok", "france takes calls")  # the last one of this name
    said = tokenweir("doctor").out
    assert name not in said  # it no longer runs
