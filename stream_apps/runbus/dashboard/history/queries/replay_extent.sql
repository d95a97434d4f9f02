-- From when to when the stored episodes of a run ended, and how many they are.
SELECT
    toUnixTimestamp64Micro(min(last_ts)) AS first,
    toUnixTimestamp64Micro(max(last_ts)) AS last,
    count() AS episodes
FROM
(
    SELECT last_ts
    FROM episodes
    WHERE run_id = {run:String} AND $below
    ORDER BY run_id, agent_id, attempt, env, episode, revision DESC, kafka_offset DESC
    LIMIT 1 BY run_id, agent_id, attempt, env, episode
)
