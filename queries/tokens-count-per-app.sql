-- Each call of one app. Put your app's key in the place of 8f14e45fceea167a; a part of it will do.
SELECT
    started_at AS "Timestamp",
    CASE WHEN stream THEN 'True' ELSE 'False' END AS "Stream",
    CASE api
        WHEN 'chat_completions' THEN 'ChatCompletion'
        WHEN 'completions' THEN 'TextCompletion'
        WHEN 'embeddings' THEN 'Embeddings'
        WHEN 'responses' THEN 'Response'
        ELSE api
    END AS "ApiOperation",
    input_tokens AS "PromptTokens",
    output_tokens AS "CompletionTokens",
    total_tokens AS "TotalTokens"
FROM calls
WHERE usage_source <> 'none' AND lower(coalesce(key_id, caller)) LIKE '%8f14e45fceea167a%'
