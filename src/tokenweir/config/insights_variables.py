"""Application Insights' own variables, for hosts whose one purpose is to meter.

A gateway does not follow them: wherever Azure runs it, they may be set for other telemetry, and each event costs money.
"""

from collections.abc import Mapping

from ..delivery.sinks import ApplicationInsightsConnection, SinkSettings
from ..delivery.sinks.application_insights import CONNECTION_STRING_VARIABLE

__all__ = ["sink_from_insights_variables"]

_SIGN_IN_VARIABLE = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"


def sink_from_insights_variables(environ: Mapping[str, str]) -> SinkSettings | None:
    """The one sink they describe; ``None`` where there is no connection string among them.

    ``APPLICATIONINSIGHTS_AUTHENTICATION_STRING`` is ``Authorization=AAD``, perhaps with ``;ClientId=…``, where the
    resource takes telemetry only from who signs in.
    """
    if not environ.get(CONNECTION_STRING_VARIABLE, "").strip():
        return None
    pairs = (part.partition("=") for part in environ.get(_SIGN_IN_VARIABLE, "").split(";"))
    sign_in = {name.strip().lower(): value.strip() for name, _, value in pairs}
    signs_in = sign_in.get("authorization", "").upper() == "AAD"
    connection = ApplicationInsightsConnection(
        connection_string_env=CONNECTION_STRING_VARIABLE,
        managed_identity=signs_in,
        client_id=sign_in.get("clientid") or None if signs_in else None,
    )
    return SinkSettings("application-insights", "application_insights", connection)
