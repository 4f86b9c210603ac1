"""The table of simulated surfaces: each address once, and found where it should be."""

from collections import Counter

import pytest

from tokenweir.simulator.failures import Refused
from tokenweir.simulator.request import ReceivedRequest
from tokenweir.simulator.routes import route
from tokenweir.simulator.surfaces import SURFACES


def test_each_method_and_path_has_one_answer() -> None:
    addresses = Counter((surface.root, item.method, item.path) for surface in SURFACES for item in surface.routes)
    assert [address for address, times in addresses.items() if times > 1] == []


@pytest.mark.parametrize("prefix", ["/openai/v1/", "/v1/", "/api/projects/p/openai/v1/", "/openai/"])
def test_every_route_is_found_behind_each_root(prefix: str) -> None:
    for surface in SURFACES:
        for item in surface.routes:
            path = prefix.replace("/openai/v1", "/anthropic/v1") if surface.root == "anthropic" else prefix
            path = item.path if item.path.startswith("/") else path + item.path
            if surface.root == "anthropic" and not path.startswith("/anthropic/"):
                continue
            request = ReceivedRequest(
                method=item.method,
                path=path.replace("{", "").replace("}", ""),
                query={"api-version": "2025-04-01-preview"},
                headers={"content-type": "multipart/form-data; boundary=b"},
                body=b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\ngpt-4o\r\n--b--\r\n'
                if item.body == "form"
                else b'{"model": "gpt-4o"}',
            )
            call = route(request)
            assert (call.api, call.route) == (surface.api, item)
            assert call.parameters == {name: name for name in call.parameters}


def test_another_method_is_refused_and_an_unknown_path_is_echoed() -> None:
    with pytest.raises(Refused, match="use POST") as refused:
        route(ReceivedRequest(method="PUT", path="/v1/chat/completions"))
    assert refused.value.status == 405
    assert route(ReceivedRequest(method="PUT", path="/v1/unheard/of")).api == "other"
