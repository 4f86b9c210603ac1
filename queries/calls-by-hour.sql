-- How many calls there were in each hour (UTC), and how they ended.
SELECT
    date_trunc('hour', started_at) AS hour,
    count(*) AS calls,
    sum(CASE WHEN outcome = 'completed' THEN 1 ELSE 0 END) AS completed,
    sum(CASE WHEN status = 429 THEN 1 ELSE 0 END) AS throttled,
    sum(CASE WHEN outcome = 'client_gone' THEN 1 ELSE 0 END) AS client_gone,
    sum(CASE
        WHEN outcome NOT IN ('completed', 'client_gone') AND coalesce(status, 0) <> 429 THEN 1
        ELSE 0
    END) AS failed
FROM calls
WHERE operation NOT IN ('session', 'job')
GROUP BY 1
ORDER BY hour
