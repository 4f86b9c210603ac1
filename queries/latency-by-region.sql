-- How long calls took, and how long their first token, by the region that answered: percentiles in milliseconds.
SELECT
    coalesce(region, '') AS region,
    count(*) AS calls,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY floor(latency_ms + 0.5)) AS p50_ms,
    percentile_disc(0.95) WITHIN GROUP (ORDER BY floor(latency_ms + 0.5)) AS p95_ms,
    percentile_disc(0.99) WITHIN GROUP (ORDER BY floor(latency_ms + 0.5)) AS p99_ms,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY floor(first_token_ms + 0.5)) AS first_token_p50_ms,
    percentile_disc(0.95) WITHIN GROUP (ORDER BY floor(first_token_ms + 0.5)) AS first_token_p95_ms
FROM calls
WHERE usage_source <> 'none' AND operation NOT IN ('session', 'job')
GROUP BY 1
ORDER BY region
