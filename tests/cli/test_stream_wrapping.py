"""What is shown fits a terminal: lines break between words, addresses at their joints, and nothing is lost."""

import io
import re

import msgspec
import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from support.captures import SSE, a_call, capture_of, text_pieces, well_ended
from support.streams import frame
from tokenweir.cli.streaming import CaptureSession, LiveView, ManyView, Shows
from tokenweir.cli.streaming.wrapping import fitted
from tokenweir.stopwatch import Began, Connected, Moment, findings_of, measure

URL = (
    "https://my-resource-in-sweden.openai.azure.com/openai/deployments/gpt-4o-2024-11-20/chat/completions"
    "?api-version=2024-10-21&subscription=none"
)


@given(
    st.lists(st.sampled_from(["a", "word", "日本", "https://example.com/a/b?c=d&e", "x" * 50, " "]), max_size=30),
    st.integers(20, 100),
    st.integers(0, 13),
)
def test_lines_hold_every_word_and_fit_unless_one_has_no_joint(words: list[str], width: int, hang: int) -> None:
    text = " ".join(words).strip()
    lines = [line.plain for line in fitted(Text(text), width, hang)]
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)
    for line in lines:
        assert cell_len(line) <= width or "xxx" in line
    for first, second in zip(lines, lines[1:], strict=False):
        if not re.match(r"\s*[/?&.]", second):  # then a word ended there
            assert any(word.endswith(first.split()[-1]) for word in words)
            assert any(word.startswith(second.split()[0]) for word in words)


def shown(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[\d;]*m", "", console.file.getvalue()).splitlines()


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False)


def with_address(moments: list[Moment]) -> list[Moment]:
    """The same call to a long address."""
    began = moments[0]
    assert isinstance(began, Began)
    return [msgspec.structs.replace(began, url=URL, name="my-resource-in-sweden.openai.azure.com"), *moments[1:]]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_one_call_fits_and_no_word_is_broken(width: int) -> None:
    console = terminal(width)
    headers = [*SSE, ("location", URL), ("x-ms-region", "Sweden Central")]
    moments = a_call(
        [*text_pieces([0.1, 0.2, 0.3, 2.1]), (2.2, b'data: {"error": {"message": "see ' + URL.encode() + b'"}}\n\n')],
        headers=headers,
        connected=Connected("10.0.0.1", 0.5, 0.6, 0.7, "proxy-of-the-company.example:3128"),
    )
    seen = CaptureSession(LiveView(console, shows=Shows(), key="with the key from AZURE_OPENAI_API_KEY"), None)
    for moment in with_address(moments):
        seen.take(0, moment)
    lines = shown(console)
    assert [line for line in lines if len(line) > width] == []
    assert URL in "".join(map(str.strip, lines))
    for word in ("completions", "deployments", "proxy-of-the-company.example:3128", "AZURE_OPENAI_API_KEY", "upstream"):
        assert any(word in line for line in lines), word


@pytest.mark.parametrize("width", [40, 60, 80])
def test_two_columns_with_long_names_are_numbered_where_they_do_not_fit(width: int) -> None:
    console, labels = terminal(width), ["my-resource-in-sweden.openai.azure.com", "apim-of-the-company.azure-api.net"]
    view = ManyView(console, Console(file=io.StringIO()), labels)
    for number in range(2):
        capture = capture_of(a_call(well_ended(text_pieces([0.1 * at for at in range(1, 9)]))))
        measures = measure(capture)
        view.call(number, capture, measures, findings_of(capture, measures))
    view.close()
    lines = shown(console)
    assert [line for line in lines if len(line) > width] == []
    assert any(line.startswith("connected") or line.startswith("first byte") for line in lines)
    assert ("2 − 1" in lines[2]) == (width < 80) or "difference" in "".join(lines)
    for number, label in enumerate(labels, 1):
        assert f"{number}  {label}" in "".join(lines).replace("   .", ".")


def test_the_whole_answer_and_the_events_as_they_came_are_shown_where_they_are_wanted() -> None:
    console = Console(file=io.StringIO(), width=60, highlight=False)
    long = "word " * 60
    moments = a_call(well_ended([(0.1, frame(long)), (0.2, frame(r"\u001b[31mred\nblue"))]))
    seen = CaptureSession(LiveView(console, shows=Shows(events=False, raw=True, text=True), key=""), None)
    for moment in moments:
        seen.take(0, moment)
    lines = shown(console)
    assert frame(long).decode().strip() in lines
    assert "data: [DONE]" in lines
    start = lines.index("answer")
    assert lines[start + 1 : start + 3] == [f"{long}\\x1b[31mred", "blue"]


def test_another_body_is_shown_raw() -> None:
    console = Console(file=io.StringIO(), width=60, highlight=False)
    body = b'{"choices": []}'
    seen = CaptureSession(LiveView(console, shows=Shows(raw=True), key=""), None)
    for moment in a_call([(0.1, body)], headers=[("content-type", "application/json")]):
        seen.take(0, moment)
    assert body.decode() in shown(console)
