-- What each cost centre used, and what it cost. It is the tag cost_centre of a caller; write another tag in its place.
SELECT
    coalesce(tags ->> 'cost_centre', '') AS cost_centre,
    coalesce(currency, '') AS currency,
    count(*) AS calls,
    sum(input_tokens) AS input_tokens,
    sum(cached_input_tokens) AS cached_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens,
    sum(CASE WHEN calls.cost IS NULL OR cost_reason IS NOT NULL THEN 1 ELSE 0 END) AS unpriced,
    round(sum(cost), 6) AS cost
FROM calls
WHERE usage_source <> 'none'
GROUP BY 1, 2
ORDER BY cost DESC NULLS LAST, cost_centre, currency
