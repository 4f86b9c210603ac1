"""What Application Insights' own variables mean for a metering host."""

import pytest

from tokenweir.config.sink_variables import sink_from_insights_variables
from tokenweir.delivery.sinks import ApplicationInsightsConnection

STRING = "APPLICATIONINSIGHTS_CONNECTION_STRING"
SIGN_IN = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"


@pytest.mark.parametrize("environ", [{}, {STRING: " "}, {SIGN_IN: "Authorization=AAD"}])
def test_without_a_connection_string_there_is_no_sink(environ: dict[str, str]) -> None:
    assert sink_from_insights_variables(environ) is None


@pytest.mark.parametrize(
    ("text", "signs_in", "client_id"),
    [
        ("", False, None),
        ("Authorization=AAD", True, None),
        ("Authorization=AAD;ClientId=1234", True, "1234"),
        ("authorization = aad ; clientid = 1234", True, "1234"),
        ("Authorization=iKey;ClientId=1234", False, None),
    ],
)
def test_the_variables_say_how_to_sign_in(text: str, signs_in: bool, client_id: str | None) -> None:
    sink = sink_from_insights_variables({STRING: "InstrumentationKey=secret", SIGN_IN: text})
    assert sink is not None and sink.kind == "application_insights"
    assert isinstance(sink.connection, ApplicationInsightsConnection)
    assert sink.connection.connection_string_env == STRING, "the secret itself stays where it is"
    assert (sink.connection.managed_identity, sink.connection.client_id) == (signs_in, client_id)
