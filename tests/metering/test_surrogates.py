import json
from collections.abc import Callable

from hypothesis import given, strategies as st

from tokenweir.metering import Reading, estimate
from tokenweir.metering.surrogates import decode, mend

Read = Callable[..., Reading]


@given(st.text(alphabet=st.characters(exclude_categories=())).filter(lambda text: "\\" not in text))
def test_lone_halves_are_replaced_and_nothing_else(text: str) -> None:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert json.loads(mend(json.dumps(text).encode())) == whole


def test_what_only_looks_like_half_a_character_is_left_alone_where_nothing_is_broken() -> None:
    assert decode(rb'{"a":"C:\\ud83d","b":"\ud83d\udccf"}') == {"a": "C:\\ud83d", "b": "📏"}
    assert decode(rb'{"a":"\ud83d","b":"\ud83d\udccf"}') == {"a": "\N{REPLACEMENT CHARACTER}", "b": "📏"}
    assert decode(b"\xff") is None


def test_an_answer_with_half_a_character_is_read(read: Read) -> None:
    body = rb'{"model":"m","choices":[{"index":0,"message":{"content":"Hi \ud83d"}}],"usage":{"prompt_tokens":7}}'
    reading = read(body, event_stream=False)
    assert reading.usage is not None
    assert reading.usage.input_tokens == 7
    assert reading.output.choices()[0].text == "Hi \N{REPLACEMENT CHARACTER}"


def test_a_request_with_half_a_character_is_counted() -> None:
    def tokens(body: bytes) -> int:
        return estimate("embeddings", body, None, "gpt-4o", ended_normally=True, azure=False).input_tokens

    assert tokens(rb'{"input":"the weir \ud83d"}') == tokens('{"input":"the weir \N{REPLACEMENT CHARACTER}"}'.encode())
