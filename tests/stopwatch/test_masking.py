"""A secret is not shown, whoever repeats it and however it is cut; everything else passes as it is."""

from hypothesis import given, strategies as st

from tokenweir.stopwatch.headers import shown_headers
from tokenweir.stopwatch.masking import BodyMask, mask

KEY = "tw-0123456789-secret"


@given(
    st.lists(st.sampled_from([KEY, KEY[:7], "t", "tw-", "plain\n\n", "é"]), max_size=8), st.lists(st.integers(0, 200))
)
def test_a_body_shows_no_key_wherever_it_is_cut(parts: list[str], cuts: list[int]) -> None:
    body = "".join(parts).encode()
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    masking = BodyMask([KEY])
    shown = b"".join(masking.feed(body[a:b]) for a, b in zip(edges, edges[1:], strict=False)) + masking.finish()

    assert shown == body.replace(KEY.encode(), b"*" * len(KEY))


def test_an_event_is_never_held_back() -> None:
    assert BodyMask([KEY]).feed(b"data: tw-\n\n") == b"data: tw-\n\n"


def test_what_is_too_short_to_be_a_key_blots_out_nothing() -> None:
    assert mask("anything goes", ["anything"]) == "anything goes"
    assert BodyMask(["anything"]).feed(b"anything") == b"anything"


def test_a_secret_inside_another_does_not_leave_the_rest() -> None:
    assert mask(f"Bearer {KEY}-and-more", [KEY, f"{KEY}-and-more"]) == "Bearer " + "*" * len(f"{KEY}-and-more")


def test_headers_pass_an_allow_list() -> None:
    shown, withheld = shown_headers(
        [
            ("X-MS-Region", "Sweden Central"),
            ("Set-Cookie", "session=abc"),
            ("x-ratelimit-remaining-tokens", "5"),
            ("x-ratelimit-key", "k"),
            ("x-request-id", f"echo-{KEY}"),
            ("authorization", "Bearer x"),
        ],
        (KEY,),
    )
    assert shown == [
        ("x-ms-region", "Sweden Central"),
        ("x-ratelimit-remaining-tokens", "5"),
        ("x-request-id", "echo-" + "*" * len(KEY)),
    ]
    assert withheld == 3


def test_a_redirect_is_shown_without_its_query_and_a_terminal_is_told_nothing() -> None:
    shown, _ = shown_headers([("location", "https://login.example/in?state=abc"), ("server", "a\x1b[2Jb")], ())
    assert shown == [("location", "https://login.example/in"), ("server", "a?[2Jb")]
