-- The ten callers that used most tokens, and their share of all tokens in percent.
SELECT
    caller,
    calls,
    total_tokens,
    CASE WHEN everything = 0 THEN 0
        ELSE round(CAST(100.0 * total_tokens / everything AS DECIMAL(38, 6)), 1)
    END AS share
FROM (
    SELECT
        coalesce(caller, '') AS caller,
        count(*) AS calls,
        sum(calls.total_tokens) AS total_tokens,
        sum(sum(calls.total_tokens)) OVER () AS everything
    FROM calls
    WHERE usage_source <> 'none'
    GROUP BY 1
) AS callers
ORDER BY total_tokens DESC, caller
LIMIT 10
