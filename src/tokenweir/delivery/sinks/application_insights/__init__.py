"""Kind ``application_insights``: one custom event a call, to an Application Insights resource."""

from .custom_event import CustomEvent, custom_event_of
from .sink import CONNECTION_STRING_VARIABLE, ApplicationInsightsConnection

__all__ = ["CONNECTION_STRING_VARIABLE", "ApplicationInsightsConnection", "CustomEvent", "custom_event_of"]
