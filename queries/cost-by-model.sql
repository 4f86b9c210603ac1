-- What was used of each model and deployment, and what it cost, the dearest first.
SELECT
    coalesce(response_model, requested_model, '') AS model,
    coalesce(deployment, '') AS deployment,
    coalesce(currency, '') AS currency,
    count(*) AS calls,
    sum(input_tokens) AS input_tokens,
    sum(cached_input_tokens) AS cached_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens,
    round(coalesce(sum(cost), 0), 6) AS cost
FROM calls
WHERE usage_source <> 'none'
GROUP BY 1, 2, 3
ORDER BY cost DESC, model, deployment, currency
