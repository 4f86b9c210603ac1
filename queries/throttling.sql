-- Calls that were answered with 429, by deployment and hour (UTC), and their share of all calls in percent.
SELECT
    hour,
    deployment,
    calls,
    throttled,
    round(CAST(100.0 * throttled / calls AS DECIMAL(38, 6)), 1) AS throttled_share
FROM (
    SELECT
        date_trunc('hour', started_at) AS hour,
        coalesce(deployment, '') AS deployment,
        count(*) AS calls,
        sum(CASE WHEN status = 429 THEN 1 ELSE 0 END) AS throttled
    FROM calls
    WHERE operation NOT IN ('session', 'job')
    GROUP BY 1, 2
) AS hours
WHERE throttled > 0
ORDER BY hour, deployment
