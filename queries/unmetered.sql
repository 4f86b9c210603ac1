-- Calls whose usage was due, or that may be billed, and of which it is not known: by path, most first.
SELECT
    path,
    usage_reason AS reason,
    count(*) AS calls,
    count(DISTINCT coalesce(caller, '')) AS teams
FROM calls
WHERE usage_source = 'none' AND usage_reason IS NOT NULL AND usage_reason <> 'later'
GROUP BY 1, 2
ORDER BY calls DESC, path, reason
