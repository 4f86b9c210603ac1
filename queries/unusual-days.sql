-- Days on which a caller used far more than on its own days of the week before. What is far is said by the last where.
WITH daily AS (
    SELECT coalesce(caller, '') AS caller, date_trunc('day', started_at) AS day, sum(total_tokens) AS tokens
    FROM calls
    WHERE usage_source <> 'none'
    GROUP BY 1, 2
),
compared AS (
    SELECT
        daily.day AS day,
        daily.caller AS caller,
        daily.tokens AS tokens,
        count(*) AS days_before,
        avg(before.tokens) AS usual,
        stddev_samp(before.tokens) AS spread
    FROM daily
    INNER JOIN daily AS before ON before.caller = daily.caller
    WHERE before.day < daily.day AND before.day >= daily.day - INTERVAL '7' DAY
    GROUP BY 1, 2, 3
)
SELECT
    day,
    caller,
    tokens,
    days_before,
    round(CAST(usual AS DECIMAL(38, 6)), 1) AS usual,
    round(CAST(tokens / usual AS DECIMAL(38, 6)), 1) AS times_usual
FROM compared
WHERE days_before >= 3 AND usual > 0 AND tokens > usual + 3 * spread AND tokens > 2 * usual
ORDER BY day, caller
