-- What was used on each day (UTC).
SELECT
    date_trunc('day', started_at) AS day,
    currency,
    sum(CASE WHEN operation IN ('session', 'job') THEN 0 ELSE 1 END) AS calls,
    sum(input_tokens) AS input_tokens,
    sum(cached_input_tokens) AS cached_input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(reasoning_tokens) AS reasoning_tokens,
    sum(total_tokens) AS total_tokens,
    CAST(coalesce(sum(cost), 0) AS DECIMAL(38, 12)) AS cost
FROM calls
GROUP BY 1, 2
ORDER BY day NULLS FIRST, currency NULLS FIRST
