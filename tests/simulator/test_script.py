"""What a request asks for, and how it is told that it asked wrongly."""

from collections.abc import Mapping

import pytest

from tokenweir.records import Duration
from tokenweir.simulator import Script
from tokenweir.simulator.failures import Refused
from tokenweir.simulator.script import read_script


def test_the_header_says_what_to_do() -> None:
    headers = {"x-simulate": '{"output_tokens": 5, "chunk_delay": "20ms", "first_byte_delay": 1.5}'}
    script = read_script(headers, {})
    assert script == Script(output_tokens=5, chunk_delay=Duration(0.02), first_byte_delay=Duration(1.5))


def test_the_body_may_say_it_and_the_header_wins() -> None:
    body = {"simulation": {"output_tokens": 7}}
    assert read_script({}, body).output_tokens == 7
    assert read_script({"x-simulate": '{"output_tokens": 8}'}, body).output_tokens == 8


def test_nothing_said_is_the_usual_answer() -> None:
    assert read_script({}, {"messages": [{"role": "user", "content": "Hello"}]}) == Script()


def test_a_script_survives_its_own_header() -> None:
    script = Script(output_tokens=3, chunk_delay=Duration.parse("20ms"), close_after=2, id="a")
    assert read_script(script.headers(), {}) == script


def seed(hosts: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": {"simulation": hosts}}]}


def test_the_mock_servers_form_is_understood() -> None:
    body = seed({"default": {"response_status_code": 429, "wait_time_ms": 100}})
    assert read_script({}, body) == Script(status=429, first_byte_delay=Duration(0.1))


def test_the_mock_servers_form_without_its_wrapper_is_understood() -> None:
    hosts = {"default": {"response_status_code": 503}}
    assert read_script({}, {"messages": [{"role": "user", "content": hosts}]}).status == 503


def test_the_mock_servers_form_may_name_hosts() -> None:
    told = {"default": {"response_status_code": 200}, "france": {"response_status_code": 500}}
    assert read_script({"host": "france:9000"}, seed(told)).status == 500
    assert read_script({"host": "sweden:9000"}, seed(told)).status is None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ('{"output_token": 5}', "did you mean output_tokens?"),
        ('{"zzzz": 5}', "known are: async_filter,"),
        ('{"output_tokens": -1}', ">= 0"),
        ('{"chunk_delay": "soon"}', "'soon' is not a duration"),
        ('{"status": 200}', ">= 400"),
        ('{"usage": "none"}', "none"),
        ('{"reset_after": 1, "hang_after": 2}', "reset_after and hang_after cannot both happen"),
        ("[1]", "must be a JSON object"),
        ("{", "is not JSON"),
    ],
)
def test_a_script_that_cannot_be_meant_is_refused_with_help(told: str, expected: str) -> None:
    with pytest.raises(Refused, match=expected.replace("?", r"\?")) as caught:
        read_script({"x-simulate": told}, {})
    assert caught.value.status == 400


def test_the_mock_servers_form_is_checked_too() -> None:
    with pytest.raises(Refused, match="response_status_code"):
        read_script({}, seed({"default": {"response_status_code": "soon"}}))


def test_without_faults_everything_else_stays() -> None:
    script = Script(output_tokens=4, status=500, reset_after=1, fail_times=2, split=3)
    assert script.without_faults() == Script(output_tokens=4, split=3)
