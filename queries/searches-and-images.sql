-- What each caller used that no token counts: searches of the Web, images, seconds of audio. Write another quantity in their places.
SELECT
    coalesce(caller, '') AS team,
    count(*) AS calls,
    coalesce(sum(CAST(quantities -> 'web_searches' ->> 'amount' AS bigint)), 0) AS web_searches,
    coalesce(sum(CAST(quantities -> 'images' ->> 'amount' AS bigint)), 0) AS images,
    coalesce(sum(CAST(quantities -> 'input_audio_seconds' ->> 'amount' AS DECIMAL(38, 6))), 0) AS audio_seconds
FROM calls
WHERE usage_source <> 'none' AND CAST(quantities AS text) <> '{}'
GROUP BY 1
ORDER BY 1
