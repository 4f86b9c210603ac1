"""A path has one reading: whatever else a server could take for a metered surface is metered too, or refused."""

import re
import unicodedata
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, strategies as st

from tokenweir.errors import MethodNotAllowed, Refusal, UnknownMethod, UnknownRoute
from tokenweir.gateway.routes import METERED, METHODS, check_method, route_of

PREFIXES = ["/openai/deployments/gpt-4o/", "/openai/v1/", "/v1/", "/openai/", "/api/openai/v1/"]


def wide(text: str) -> str:
    """Full-width letters, escaped."""
    return quote("".join(chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in text), safe="/")


def escaped(text: str) -> str:
    return "".join(f"%{ord(letter):02x}" for letter in text)


def spellings(tail: str) -> list[str]:
    """Of the tail of a path, or of a word in it."""
    first, last = tail[0], tail[-1]
    return [
        tail.upper(),
        tail.title(),
        tail.capitalize(),
        tail.swapcase(),
        first + tail[1:].upper(),
        tail[:-1] + last.upper(),
        tail[:-1] + escaped(last),
        escaped(first) + tail[1:],
        tail[:-1] + escaped(last).upper(),
        escaped(tail),
        escaped(tail.upper()),
        tail.replace("o", "%6f"),
        tail.replace("e", "%65", 1),
        tail.replace("/", "%2f"),
        tail.replace("/", "%2F"),
        tail.replace("/", "%252f"),
        tail.replace("/", "//"),
        tail.replace("/", "/./"),
        tail.replace("/", "/x/../"),
        tail.replace("/", ";a=b/"),
        tail.replace("/", "%5c"),
        quote(escaped(tail)),
        quote(quote(escaped(tail))),
        "%25" + escaped(tail)[1:],
        tail + ";a=b",
        tail + ";",
        tail + "%3ba=b",
        tail + "%3B",
        tail + "/",
        tail + "//",
        tail + "/.",
        tail + "/..",
        tail + "/x/..",
        tail + "%20",
        tail + ".",
        tail + "%2e",
        tail + "/%ef%bc%8e",
        tail + "/x/%ef%bc%8e%ef%bc%8e",
        tail + "%09",
        tail + "%3f",
        "%20" + tail,
        tail[:-2] + escaped(tail[-2:]).upper(),
        first.upper() + tail[1:-1] + escaped(last),
        tail + "%00",
        tail + "%0a",
        tail + "%e2%80%8b",
        "/" + tail,
        "//" + tail,
        "./" + tail,
        "x/../" + tail,
        "%2e/" + tail,
        "..;/" + tail,
        "x/" + tail,
        "extensions/x/" + tail,
        wide(tail),
        wide(first) + tail[1:],
        tail[:-1] + wide(last),
        tail.replace("s", "%c5%bf"),  # a long s, whose capital is S
        escaped(wide(first)) + tail[1:],
    ]


def is_metered_or_refused(method: bytes, path: str) -> bool:
    try:
        return route_of(method, path.encode("ascii")).is_metered
    except Refusal:
        return True


@pytest.mark.parametrize("tail", METERED)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_no_spelling_of_a_metered_surface_passes_unmetered(prefix: str, tail: str) -> None:
    assert len({*spellings(tail)} - {tail}) >= 40
    passed = [spelled for spelled in spellings(tail) if not is_metered_or_refused(b"POST", prefix + spelled)]
    assert passed == []


@pytest.mark.parametrize(
    "path",
    [
        f"{before}{spelled}{after}"
        for before, word, after in [
            ("/", "openai", "/deployments/x/chat/completions"),
            ("/", "openai", "/v1/chat/completions"),
            ("/openai/", "v1", "/chat/completions"),
            ("/openai/", "deployments", "/x/chat/completions"),
            ("/openai/", "deployments", "/x/files"),
            ("/", "v1", "/responses"),
            ("/", "api", "/openai/v1/embeddings"),
        ]
        for spelled in spellings(word)
        if spelled != word and "/x/" not in spelled and not spelled.startswith("x/")
    ],
)
def test_no_other_spelling_of_a_prefix_passes(path: str) -> None:
    """Also not to a surface that is not metered: who may use which deployment is decided by the path. A letter that is
    escaped without need is that letter (RFC 3986, 6.2.2.2), here and in what is sent."""
    try:
        route = route_of(b"POST", path.encode("ascii"))
    except Refusal:
        return
    assert route.path == unquote(path)
    assert route == route_of(b"POST", unquote(path).encode("ascii"))


LETTERS = st.sampled_from([*"/.;%", "%3f", "%23", "%2f", "%2e", "%25", "%3b", "//", "X", "x", "%00", "%ef%bd%83"])


@st.composite
def respelled(draw: st.DrawFn) -> str:
    """A metered path in which some letters are written in another way, and things are put between."""
    path = draw(st.sampled_from(PREFIXES)) + draw(st.sampled_from(sorted(METERED)))
    written = []
    for letter in path:
        kind = draw(st.integers(0, 30))
        if kind == 0:
            written.append(escaped(letter))
        elif kind == 1:
            written.append(letter.swapcase())
        elif kind == 2:
            written.append(wide(letter))
        elif kind == 3:
            written.append(draw(LETTERS) + letter)
        else:
            written.append(letter)
    return "".join(written)


def reading(path: str) -> list[str]:
    """As the most lenient server would read it."""
    for _ in range(4):
        path = unicodedata.normalize("NFKC", unquote(path))
    words = (re.split("[;?#]", part)[0].strip() for part in path.casefold().split("/"))
    return [word for word in words if word not in ("", ".")]


@given(respelled())
def test_what_is_relayed_unmetered_is_no_metered_surface_to_anybody(path: str) -> None:
    try:
        route = route_of(b"POST", path.encode("ascii"))
    except Refusal:
        return
    if not route.is_metered:
        assert not any("/".join(reading(route.path)).endswith(f"/{tail}") for tail in METERED)


@given(respelled())
def test_what_is_sent_is_what_was_judged(path: str) -> None:
    try:
        route = route_of(b"POST", path.encode("ascii"))
    except Refusal:
        return
    assert route_of(b"POST", route.path.encode("ascii")) == route


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/v1/files/r%C3%A9sum%C3%A9.pdf", "/v1/files/r%C3%A9sum%C3%A9.pdf"),
        ("/v1/files/r%c3%a9sum%c3%a9.pdf", "/v1/files/r%C3%A9sum%C3%A9.pdf"),
        ("/v1/models/mistral%2Flarge", "/v1/models/mistral%2Flarge"),
        ("/v1/models/mistral%2flarge", "/v1/models/mistral%2Flarge"),
        ("/v1/files/%61bc", "/v1/files/abc"),
        ("/v1/files/a%20b", "/v1/files/a%20b"),
        ("/v1/models/ft:gpt-4o:org::id", "/v1/models/ft:gpt-4o:org::id"),
        ("/v1/files/%E6%96%87%E4%BB%B6.txt", "/v1/files/%E6%96%87%E4%BB%B6.txt"),
    ],
)
def test_names_that_people_use_go_on_in_one_spelling(path: str, sent: str) -> None:
    assert route_of(b"GET", path.encode()).path == sent


@pytest.mark.parametrize(
    "path",
    [
        "/openai/v1//openai/v1/chat/completions",
        "/openai/v1/openai/v1/chat/completions",
        "/openai/v1//openai/deployments/gpt-4o/chat/completions",
        "/openai/v1/openai/deployments/gpt-4o/chat/completions",
        "/v1/v1/chat/completions",
        "/v1/openai/v1/models",
        "/openai/openai/v1/files",
        "/openai/openai/deployments/gpt-4o/files",
    ],
)
def test_a_base_url_with_too_much_in_it_is_told_plainly(path: str) -> None:
    with pytest.raises(UnknownRoute, match="azure_endpoint"):
        route_of(b"POST", path.encode())


@pytest.mark.parametrize("spelled", ["Files", "%46iles", "FILES/f-1", "file%73%3Ba", "%EF%BC%A6iles"])
def test_what_is_not_metered_has_one_spelling_too(spelled: str) -> None:
    with pytest.raises(UnknownRoute, match="files is spelled in these letters"):
        route_of(b"POST", f"/v1/{spelled}".encode())


@pytest.mark.parametrize("method", ["PUT", "PATCH", "QUERY", "REPORT"])
def test_what_only_ends_like_a_metered_path_is_refused_to_each_method_that_has_a_body(method: str) -> None:
    with pytest.raises(UnknownRoute, match="stands right behind"):
        route_of(method.encode(), b"/v1/x/chat/completions")


def test_a_misspelled_path_is_told_its_spelling() -> None:
    with pytest.raises(UnknownRoute, match="chat/completions is spelled in these letters"):
        route_of(b"POST", b"/v1/Chat/Completions")


def test_on_your_data_is_metered_under_its_old_path() -> None:
    assert route_of(b"POST", b"/openai/deployments/d/extensions/chat/completions").api == "chat_completions"


@pytest.mark.parametrize("method", ["post", "Post", "GETS", "FOO", "P", "X-POST"])
def test_a_method_is_registered_and_spelled_as_it_is_registered(method: str) -> None:
    with pytest.raises(UnknownMethod) as refused:
        check_method(method.encode())
    assert refused.value.status == 501
    assert ("spelled in capitals: POST" in str(refused.value)) == (method.upper() == "POST")


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PRI"])
def test_a_method_that_would_show_our_key_is_not_relayed(method: str) -> None:
    with pytest.raises(MethodNotAllowed) as refused:
        check_method(method.encode())
    assert refused.value.status == 405
    assert refused.value.allow is not None
    assert method not in refused.value.allow


@pytest.mark.parametrize("method", sorted(METHODS - {"GET", "HEAD", "POST", "OPTIONS", "DELETE"}))
@pytest.mark.parametrize("tail", METERED)
def test_no_other_method_reaches_a_metered_surface(method: str, tail: str) -> None:
    with pytest.raises(MethodNotAllowed, match="calls are a POST"):
        route_of(method.encode(), f"/v1/{tail}".encode())
