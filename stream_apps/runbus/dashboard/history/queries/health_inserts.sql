-- Inserts of the sink by minute, from its heartbeats: how many, and how long one took. Both counts start with a process.
SELECT
    toUnixTimestamp64Micro(toDateTime64(toStartOfMinute(sent_at), 6)) AS minute,
    sum(done) AS inserts,
    sum(took) AS seconds,
    if(inserts = 0, nan, seconds / inserts) AS mean,
    max(lag_ms) AS lag_ms
FROM
(
    SELECT
        sent_at,
        lag_ms,
        JSONExtractInt(detail, 'inserts') AS inserts_now,
        JSONExtractFloat(detail, 'insert_seconds') AS seconds_now,
        row_number() OVER w = 1 AS is_first,
        if(is_first, 0, greatest(0, inserts_now - lagInFrame(inserts_now, 1, inserts_now) OVER w)) AS done,
        if(is_first, 0, greatest(0, seconds_now - lagInFrame(seconds_now, 1, seconds_now) OVER w)) AS took
    FROM heartbeats
    WHERE kind = 'sink' AND sent_at >= now() - toIntervalSecond({seconds:UInt32})
    WINDOW w AS (PARTITION BY component_id, started_at ORDER BY sent_at, kafka_offset)
)
GROUP BY minute
ORDER BY minute
