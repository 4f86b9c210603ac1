-- How much of each caller's usage is our estimate, because the upstream did not report it; in percent of the tokens.
SELECT
    caller,
    calls,
    estimated_calls,
    total_tokens,
    estimated_tokens,
    CASE WHEN total_tokens = 0 THEN 0
        ELSE round(CAST(100.0 * estimated_tokens / total_tokens AS DECIMAL(38, 6)), 1)
    END AS estimated_share
FROM (
    SELECT
        coalesce(caller, '') AS caller,
        count(*) AS calls,
        sum(CASE WHEN usage_source = 'estimated' THEN 1 ELSE 0 END) AS estimated_calls,
        sum(calls.total_tokens) AS total_tokens,
        sum(CASE WHEN usage_source = 'estimated' THEN calls.total_tokens ELSE 0 END) AS estimated_tokens
    FROM calls
    WHERE usage_source <> 'none'
    GROUP BY 1
) AS callers
ORDER BY estimated_share DESC, caller
