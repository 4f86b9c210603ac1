-- Calls that did not end well, by how they ended, the most frequent first.
SELECT
    outcome,
    CASE WHEN status IS NULL THEN '' ELSE CAST(coalesce(status, 0) AS VARCHAR) END AS status,
    coalesce(error_code, '') AS error_code,
    coalesce(deployment, '') AS deployment,
    count(*) AS calls,
    max(started_at) AS last_seen
FROM calls
WHERE outcome <> 'completed'
GROUP BY 1, 2, 3, 4
ORDER BY calls DESC, outcome, status, error_code, deployment
