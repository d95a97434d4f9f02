-- What happened to a run, on the axis of its curves: restarts of an agent (where the attempt before ended; by time: when
-- the new one began), steps that its recorder dropped, steps that are missing in an episode, records in the dead letters;
-- and the records of its partitions that retention deleted before they were stored: by seq and episode their x is -1.
WITH streams AS
(
    SELECT agent_id, attempt, max(seq) AS last_seq, max(episode) AS last_episode
    FROM steps
    WHERE run_id = {run:String}
    GROUP BY agent_id, attempt
)
SELECT
    kind,
    multiIf({x:String} = 'seq', seq, {x:String} = 'episode', episode, time - {origin:Int64}) AS x,
    agent,
    attempt,
    count
FROM
(
    SELECT
        'restart' AS kind,
        lagInFrame(last_seq, 1, -1) OVER before AS seq,
        lagInFrame(last_episode, 1, -1) OVER before AS episode,
        attempt AS time,
        agent_id::String AS agent,
        attempt,
        toInt64(1) AS count
    FROM streams
    WINDOW before AS (PARTITION BY agent_id ORDER BY attempt ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
    UNION ALL
    SELECT
        'drop' AS kind,
        min(seq) AS seq,
        min(episode) AS episode,
        toUnixTimestamp64Micro(min(ts)) AS time,
        agent_id::String AS agent,
        attempt,
        dropped - lagInFrame(dropped, 1, 0) OVER (PARTITION BY agent_id, attempt ORDER BY dropped ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS count
    FROM steps
    WHERE run_id = {run:String} AND dropped > 0
    GROUP BY agent_id, attempt, dropped
    UNION ALL
    SELECT
        'gap' AS kind,
        last_seq AS seq,
        episode,
        toUnixTimestamp64Micro(last_ts) AS time,
        agent_id::String AS agent,
        attempt,
        arraySum(m -> m.2 - m.1 + 1, missing) AS count
    FROM
    (
        SELECT agent_id, attempt, env, episode, missing, last_seq, last_ts
        FROM episodes
        WHERE run_id = {run:String} AND $below
        $newest
    )
    WHERE notEmpty(missing)
    UNION ALL
    SELECT
        'dead_letter' AS kind,
        seq,
        -1 AS episode,
        toUnixTimestamp64Micro(failed_at) AS time,
        agent_id AS agent,
        attempt,
        greatest(count, 1) AS count
    FROM dead_letters_latest
    WHERE run_id = {run:String}
    UNION ALL
    SELECT
        'lost' AS kind,
        -1 AS seq,
        -1 AS episode,
        toUnixTimestamp64Micro(detected_at) AS time,
        '' AS agent,
        -1 AS attempt,
        last_offset - first_offset + 1 AS count
    FROM lost_ranges FINAL
    WHERE topic = {steps:String}
        AND partition IN (SELECT kafka_partition FROM steps WHERE run_id = {run:String})
        AND detected_at >= (SELECT min(ts) FROM steps WHERE run_id = {run:String})
)
WHERE kind = 'lost' OR (seq >= 0 AND ({x:String} != 'episode' OR episode >= 0))
ORDER BY x, kind, agent, attempt
LIMIT {most:UInt32}
