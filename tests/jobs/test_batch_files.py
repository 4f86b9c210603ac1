"""An output file is summed however it comes in pieces; what is no output file is never half counted."""

import json
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from tokenweir.jobs.batch_files import FirstLine, OutputLines
from tokenweir.jobs.record import derived_id
from tokenweir.jobs.table import JobKey

COUNTS = st.integers(0, 10**9)
USAGES = st.fixed_dictionaries(
    {"prompt_tokens": COUNTS, "completion_tokens": COUNTS},
    optional={"prompt_tokens_details": st.one_of(st.none(), st.fixed_dictionaries({"cached_tokens": COUNTS}))},
)


@given(st.lists(USAGES, min_size=1, max_size=20), st.integers(1, 50), st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
def test_the_sum_is_that_of_all_lines(usages: list[dict[str, object]], size: int, end: bytes) -> None:
    lines = [{"response": {"status_code": 200, "body": {"model": "m", "usage": usage}}} for usage in usages]
    whole = end.join(json.dumps(line).encode() for line in [*lines, {"response": None, "error": {"code": "x"}}])
    output = OutputLines()
    for at in range(0, len(whole), size):
        output.feed(whole[at : at + size])
    total = output.finish()
    assert total is not None
    assert total["prompt_tokens"] == sum(usage["prompt_tokens"] for usage in usages)  # type: ignore[misc]
    cached = [details["cached_tokens"] for usage in usages if (details := usage.get("prompt_tokens_details"))]  # type: ignore[index]
    assert total.get("prompt_tokens_details", {}).get("cached_tokens", 0) == sum(cached)
    assert output.model == "m"


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_whatever_comes_is_summed_or_refused(pieces: list[bytes]) -> None:
    output, first = OutputLines(), FirstLine()
    try:
        for piece in pieces:
            first.feed(piece)
            output.feed(piece)
        output.finish()
    except ValueError as error:
        assert str(error) == "a line of the batch's output cannot be read"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_of_the_input_only_the_first_line_is_read(size: int) -> None:
    whole = b'{"custom_id": "1", "body": {"model": "my-batch", "messages": []}}\n{"body": {"model": "other"}}\n'
    first = FirstLine()
    fed = 0
    while not first.is_enough():
        first.feed(whole[fed : fed + size])
        fed += size
    assert first.model == "my-batch"


KEYS = st.builds(JobKey, st.text(max_size=9), st.sampled_from(["response", "batch"]), st.text(max_size=9))


@given(KEYS, KEYS, st.one_of(st.none(), st.integers(), st.floats(), st.text()))
def test_an_id_is_derived_and_is_a_uuid(one: JobKey, other: JobKey, made_at: object) -> None:
    id = derived_id(one, made_at)
    assert UUID(id).version == 8
    assert str(UUID(id)) == id == derived_id(one, made_at)
    assert (id == derived_id(other, made_at)) == (one == other)


@given(st.integers(0, 2**33), st.integers(0, 2**33))
def test_ids_ascend_with_the_time_at_which_jobs_were_made(earlier: int, later: int) -> None:
    key = JobKey("host", "response", "resp_1")
    if int(earlier) < int(later):
        assert derived_id(key, earlier) < derived_id(key, later)
