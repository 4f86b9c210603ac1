-- How much of the input each model took from its cache, in percent of the input tokens.
SELECT
    model,
    calls,
    input_tokens,
    cached_tokens,
    CASE WHEN input_tokens = 0 THEN 0
        ELSE round(CAST(100.0 * cached_tokens / input_tokens AS DECIMAL(38, 6)), 1)
    END AS cached_share
FROM (
    SELECT
        coalesce(response_model, requested_model, '') AS model,
        count(*) AS calls,
        sum(input_tokens) AS input_tokens,
        sum(cached_input_tokens) AS cached_tokens
    FROM calls
    WHERE usage_source <> 'none'
    GROUP BY 1
) AS models
ORDER BY cached_share DESC, model
