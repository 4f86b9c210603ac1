"""The test scripts of the deployment: the shell ones against a whole gateway, those for PowerShell by their grammar."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import tree_sitter
import tree_sitter_powershell

from support.whole_gateway import WholeGateway, whole_gateway
from tokenweir.policy import hash_key
from tokenweir.serve.gateway_process import free_port
from tokenweir.simulator import running_simulator

SCRIPTS = Path(__file__).resolve().parents[2] / "deploy" / "azure" / "test-scripts"
SHELL = ["testchatcompletions.sh", "testcompletions.sh"]
KEY = "0123456789abcdef0123456789abcdef"
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="SKIPPED LOUDLY: there is no curl on this machine")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeGateway]:
    """It knows the subscription by the hash of its key, as behind API Management, and one deployment."""
    more = f"""
[[deployments]]
name = "gpt-4o"
targets = [{{ upstream = "sim", deployment = "gpt-4o", model = "gpt-4o-2024-11-20" }}]

[[callers]]
name = "team-a"
key_sha256 = "{hash_key(KEY)}"
"""
    folder = tmp_path_factory.mktemp("gateway")
    with running_simulator() as simulator, whole_gateway(folder, simulator.url, more) as running:
        yield running


def run(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"]} | variables
    return subprocess.run([SCRIPTS / script, *arguments], env=environment, capture_output=True, text=True)


def ask(gateway: WholeGateway, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {"AZURE_GATEWAY_URL": gateway.url, "AZURE_GATEWAY_KEY": KEY, "AOI_DEPLOYMENTID": "gpt-4o"}
    return run(script, *arguments, **variables)


@needs_curl
@pytest.mark.parametrize("script", SHELL)
def test_an_answer(gateway: WholeGateway, script: str) -> None:
    done = ask(gateway, script)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["usage"]["total_tokens"] > 0
    assert "x-ms-region: Sweden Central" in done.stderr
    assert "x-ms-stream: False" in done.stderr


@needs_curl
@pytest.mark.parametrize("script", SHELL)
def test_a_stream(gateway: WholeGateway, script: str) -> None:
    done = ask(gateway, script, "--stream")

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("data: [DONE]\n\n\n")
    assert done.stdout.count("data: {") > 2
    assert "x-ms-stream: True" in done.stderr


@needs_curl
def test_the_caller_is_known_by_the_subscription_key(gateway: WholeGateway) -> None:
    done = ask(gateway, "testchatcompletions.sh")
    call_id = next(line for line in done.stderr.splitlines() if line.startswith("x-tokenweir-call-id")).split()[1]

    # A record is in the books some milliseconds after its answer's end.
    while (answer := httpx.get(f"{gateway.admin_url}/api/calls/{call_id}")).status_code == 404:
        pass
    record = answer.json()
    assert (record["caller"], record["key_id"]) == ("team-a", f"sha256-{hash_key(KEY)[:12]}")


@needs_curl
@pytest.mark.parametrize("script", SHELL)
def test_a_wrong_key_is_an_error_and_says_why(gateway: WholeGateway, script: str) -> None:
    done = ask(gateway, script, "--key", "wrong")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "invalid_api_key"
    assert done.stderr.endswith(f"{script}: the gateway answered 401\n")


@needs_curl
def test_an_unknown_deployment_is_an_error(gateway: WholeGateway) -> None:
    done = ask(gateway, "testchatcompletions.sh", "--deployment", "nobody", "--stream")
    assert done.returncode == 1
    assert "nobody" in done.stdout
    assert "answered 404" in done.stderr


@needs_curl
def test_an_unreachable_gateway_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = run("testcompletions.sh", "--gateway", url, "--key", KEY, "--deployment", "gpt-4o")
    assert done.returncode == 7
    assert f"no whole answer from {url}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "no gateway: give --gateway https://NAME.azure-api.net, or set AZURE_GATEWAY_URL"),
        (["--gateway", "contoso.azure-api.net", "--key", "k", "--deployment", "d"], "is no URL"),
        (["--gateway", "https://contoso.azure-api.net"], "no key: set AZURE_GATEWAY_KEY"),
        (["--gateway", "https://contoso.azure-api.net", "--key", "k"], "no deployment"),
        (["--streem"], "there is no option --streem"),
        (["--key"], "--key needs a value"),
    ],
)
def test_what_is_missing_or_mistaken_is_said(arguments: list[str], complaint: str) -> None:
    done = run("testchatcompletions.sh", *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("script", SHELL)
def test_help_names_every_option_and_variable(script: str) -> None:
    done = run(script, "--help")
    assert done.returncode == 0
    for word in ("--gateway", "--key", "--stream", "AZURE_GATEWAY_URL", "AZURE_GATEWAY_KEY", "AOI_DEPLOYMENTID"):
        assert word in done.stdout


class _Patient(BaseHTTPRequestHandler):
    """Sends an event, and the rest only once somebody has seen it."""

    seen = threading.Event()
    bodies: list[dict[str, object]] = []
    paths: list[str] = []
    arguments = b""

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.paths.append(self.path)
        _Patient.arguments = b"".join(_arguments_of(process) for process in Path("/proc").glob("[0-9]*"))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        self.wfile.flush()
        self.seen.wait(30)
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


def _arguments_of(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


@needs_curl
def test_a_stream_is_shown_as_it_comes_and_the_key_is_no_argument() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Patient)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        variables = {"PATH": os.environ["PATH"], "AZURE_GATEWAY_KEY": KEY, "AOI_DEPLOYMENTID": "gpt-4o"}
        command: list[str | Path] = [SCRIPTS / "testchatcompletions.sh", "--stream"]
        command += ["--gateway", f"http://127.0.0.1:{server.server_port}/openai/"]
        with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "data: first\n"
            _Patient.seen.set()
            assert process.stdout.read() == "\ndata: [DONE]\n\n\n"
        assert process.returncode == 0
    finally:
        _Patient.seen.set()
        server.shutdown()
        thread.join()
        server.server_close()

    assert b"curl" in _Patient.arguments
    assert KEY.encode() not in _Patient.arguments
    assert _Patient.paths == ["/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"]
    (body,) = _Patient.bodies
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]  # type: ignore[attr-defined]
    assert {name: body[name] for name in body if name != "messages"} == {"max_completion_tokens": 500, "stream": True}


def test_shellcheck_has_nothing_to_say() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("SKIPPED LOUDLY: there is no shellcheck on this machine (Debian has it)")
    done = subprocess.run(["shellcheck", "-x", *SHELL, "call.sh"], cwd=SCRIPTS, capture_output=True, text=True)
    assert done.stdout == ""


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.ps1")), ids=lambda path: path.name)
def test_a_script_for_powershell_is_well_formed(script: Path) -> None:
    """There is no PowerShell to run it: only its grammar is checked."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
    assert not parser.parse(script.read_bytes()).root_node.has_error


def test_the_grammar_would_tell_of_a_mistake() -> None:
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
    written = (SCRIPTS / "Invoke-Gateway.ps1").read_bytes().replace(b"finally {", b"finally (")
    assert parser.parse(written).root_node.has_error
