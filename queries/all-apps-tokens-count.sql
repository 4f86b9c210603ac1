-- Tokens by app, with the key shortened.
SELECT
    concat(substring(coalesce(key_id, caller, ''), 1, 8), 'XXXX') AS "SubscriptionKey",
    sum(input_tokens) AS "PromptTokens",
    sum(output_tokens) AS "CompletionTokens",
    sum(total_tokens) AS "TotalTokens"
FROM calls
WHERE usage_source <> 'none'
GROUP BY coalesce(key_id, caller, '')
