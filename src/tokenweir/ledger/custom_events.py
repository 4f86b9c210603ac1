"""The view ``customEvents``: the ledger as Application Insights shows it, for KQL that people already have.

Its first eight properties are those of today's chargeback function, all of them text. Two things are
better than there: embeddings appear (the function has no answer to parse for them, so it drops them),
and every event is here, because nothing is sampled.
"""

from collections.abc import Callable, Iterable

__all__ = ["EVENT_NAME", "PROPERTIES", "view_statement"]

EVENT_NAME = "Azure OpenAI Tokens"

_TIME_TEXT, _COST_TEXT = "{time_text}", "{cost_text}"

PROPERTIES = {
    "TokenInfoId": "call_id",
    "ApiOperation": (
        "CASE api WHEN 'chat_completions' THEN 'ChatCompletion' WHEN 'completions' THEN 'TextCompletion' "
        "WHEN 'embeddings' THEN 'Embeddings' ELSE api END"
    ),
    "AppKey": "coalesce(key_id, caller)",
    "Timestamp": _TIME_TEXT,
    "Stream": "CASE WHEN stream THEN 'True' ELSE 'False' END",
    "PromptTokens": "CAST(input_tokens AS VARCHAR)",
    "CompletionTokens": "CAST(output_tokens AS VARCHAR)",
    "TotalTokens": "CAST(total_tokens AS VARCHAR)",
    "CallId": "call_id",
    "Caller": "caller",
    "Deployment": "deployment",
    "Model": "coalesce(response_model, requested_model)",
    "Backend": "backend",
    "Region": "region",
    "UsageSource": "usage_source",
    "CachedTokens": "CAST(cached_input_tokens AS VARCHAR)",
    "ReasoningTokens": "CAST(reasoning_tokens AS VARCHAR)",
    "Cost": _COST_TEXT,
    "Currency": "currency",
}
"""Property → what it is of a row in ``calls``, in SQL that all engines speak, but for two of the texts."""


def view_statement(
    time_text: str,
    as_object: Callable[[Iterable[tuple[str, str]]], str],
    cost_text: str = "CAST(cost AS VARCHAR)",
) -> str:
    """The statement that makes the view.

    ``time_text`` is the engine's SQL for ``started_at`` as ISO 8601 text in UTC, ``cost_text`` that for ``cost`` with
    all its places, and ``as_object`` its JSON object of names and expressions.
    """
    texts = {_TIME_TEXT: time_text, _COST_TEXT: cost_text}
    properties = [(name, texts.get(what, what)) for name, what in PROPERTIES.items()]
    # A call that used nothing (refused, failed upstream) was never an event, and is none here.
    return (
        f'CREATE OR REPLACE VIEW "customEvents" AS SELECT started_at AS "timestamp", \'{EVENT_NAME}\' AS "name", '
        f"{as_object(properties)} AS \"customDimensions\" FROM calls WHERE usage_source <> 'none'"
    )
