"""The view ``customEvents``: the ledger as Application Insights shows it, for KQL that people already have.

Its first eight properties are those of today's chargeback function, all of them text. Two things are
better than there: embeddings appear (the function has no answer to parse for them, so it drops them),
and every event is here, because nothing is sampled.
"""

__all__ = ["CREATE_VIEW", "EVENT_NAME", "PROPERTIES"]

EVENT_NAME = "Azure OpenAI Tokens"

PROPERTIES = {
    "TokenInfoId": "call_id",
    "ApiOperation": (
        "CASE api WHEN 'chat_completions' THEN 'ChatCompletion' WHEN 'completions' THEN 'TextCompletion' "
        "WHEN 'embeddings' THEN 'Embeddings' ELSE api END"
    ),
    "AppKey": "coalesce(key_id, caller)",
    "Timestamp": "strftime(started_at, '%Y-%m-%dT%H:%M:%S.%fZ')",
    "Stream": "CASE WHEN stream THEN 'True' ELSE 'False' END",
    "PromptTokens": "input_tokens::VARCHAR",
    "CompletionTokens": "output_tokens::VARCHAR",
    "TotalTokens": "total_tokens::VARCHAR",
    "CallId": "call_id",
    "Caller": "caller",
    "Deployment": "deployment",
    "Model": "coalesce(response_model, requested_model)",
    "Backend": "backend",
    "Region": "region",
    "UsageSource": "usage_source",
    "CachedTokens": "cached_input_tokens::VARCHAR",
    "ReasoningTokens": "reasoning_tokens::VARCHAR",
    "Cost": "cost::VARCHAR",
    "Currency": "currency",
}
"""Property → what it is of a row in ``calls``."""

_DIMENSIONS = ", ".join(f"'{name}': {expression}" for name, expression in PROPERTIES.items())

# A call that used nothing (refused, failed upstream) was never an event, and is none here.
CREATE_VIEW = f"""
CREATE OR REPLACE VIEW "customEvents" AS
SELECT started_at AS "timestamp", '{EVENT_NAME}' AS "name", {{{_DIMENSIONS}}}::JSON AS "customDimensions"
FROM calls WHERE usage_source <> 'none'
"""
