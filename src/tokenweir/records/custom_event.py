"""A call as Application Insights shows it: the names of its event, and of the properties that the event has.

The ledger's view ``customEvents`` and the sink of kind ``application_insights`` both say what stands under these
names, each in its own language, and always the same text.
"""

__all__ = ["CALLS_EVENT", "CUSTOM_EVENT_PROPERTIES", "TOKENS_EVENT"]

TOKENS_EVENT = "Azure OpenAI Tokens"
"""The event of a call that used something. Today's queries look for this name."""
CALLS_EVENT = "Azure OpenAI Calls"
"""The event of a call that used nothing: refused, throttled, failed upstream. Today's queries pass over it."""

CUSTOM_EVENT_PROPERTIES = (
    # today's chargeback function
    "TokenInfoId",
    "ApiOperation",
    "AppKey",
    "Timestamp",
    "Stream",
    "PromptTokens",
    "CompletionTokens",
    "TotalTokens",
    # who, where, and how it was counted
    "CallId",
    "Caller",
    "Deployment",
    "Model",
    "Backend",
    "Region",
    "UsageSource",
    "CachedTokens",
    "ReasoningTokens",
    "Cost",
    "Currency",
    # how it went
    "Status",
    "Outcome",
    "ErrorCode",
    "LatencyMs",
    "FirstTokenMs",
    "Attempts",
    # by what it is shared out
    "Sku",
    "PriceId",
    "Tags",
)
"""In their order. All of them are text; one that has no value is null in the view and left out of the event."""
