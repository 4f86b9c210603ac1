"""The notebooks in examples/, run cell by cell against a gateway with all its processes and a simulator."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from nbclient import NotebookClient

from support.whole_gateway import WholeGateway, whole_gateway
from tokenweir.policy import hash_key
from tokenweir.simulator import running_simulator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

CALLERS = "".join(
    f'\n[[callers]]\nname = "{name}"\nkey_sha256 = "{hash_key(f"key of {name}")}"\n' for name in ("team-a", "team-b")
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeGateway]:
    with running_simulator() as sim, whole_gateway(tmp_path_factory.mktemp("gateway"), sim.url, CALLERS) as running:
        yield running


@pytest.fixture(autouse=True)
def variables(gateway: WholeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader of the notebook would set, and nothing of Jupyter's in anybody's home."""
    monkeypatch.setenv("GATEWAY_URL", gateway.url)
    monkeypatch.setenv("GATEWAY_KEY", "key of team-a")
    monkeypatch.setenv("MANAGEMENT_URL", gateway.admin_url)
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))


def run(name: str, folder: Path) -> list[Any]:
    """The code cells with what they put out. What a cell raises is raised."""
    notebook = nbformat.read(EXAMPLES / name, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=50, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def pictures(cells: list[Any]) -> int:
    outputs = itertools.chain.from_iterable(cell.outputs for cell in cells)
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_the_streaming_notebook_shows_each_piece_and_the_trace_of_both_calls(
    gateway: WholeGateway, tmp_path: Path
) -> None:
    cells = run("streaming.ipynb", tmp_path)
    http, sdk = (cell for cell in cells if "show_headers(r" in cell.source)
    traces = [printed(cell) for cell in cells if "= show_trace(" in cell.source]

    for shown in (printed(http), printed(sdk)):
        assert "Apim-Trace-Id: 0" in shown
        assert "x-ms-region: Sweden Central" in shown
        assert "x-ms-stream: True" in shown
    assert "data: [DONE]" in printed(http)
    assert printed(sdk).count(" ms  '") > 3
    assert len(traces) == 2
    for trace in traces:
        assert "inbound  admit    team-a, by key" in trace
        assert "outbound settle   completed; " in trace
    assert pictures(cells) == 2


def test_the_usage_notebook_sums_every_callers_tokens_and_their_cost(gateway: WholeGateway, tmp_path: Path) -> None:
    url = f"{gateway.url}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    body = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
    sent = {"x-simulate": '{"output_tokens": 1000}'}
    last = ""
    for caller in ("team-a", "team-b", "team-b", "a stranger"):
        answer = httpx.post(url, headers={"api-key": f"key of {caller}", **sent}, json=body)
        last = answer.headers["x-tokenweir-call-id"]
    while httpx.get(f"{gateway.admin_url}/api/calls/{last}").status_code != 200:
        pass
    cells = run("usage.ipynb", tmp_path)
    shown = "\n".join(printed(cell) for cell in cells)

    (row,) = [line.split() for line in printed(cells[1]).splitlines() if "team-b" in line]
    assert (row[1], row[2], row[5]) == ("gpt-4o-2024-11-20", "2", "2,000")
    (cost,) = [line.split()[1] for line in printed(cells[3]).splitlines() if "team-b" in line]
    input_tokens = int(row[3].replace(",", ""))
    assert cost == f"{(input_tokens * 2.5 + 2000 * 10) / 1e6:.6f}"
    assert "reported" in shown
    assert "invalid_api_key" in shown and last in shown
    assert pictures(cells) == 3
