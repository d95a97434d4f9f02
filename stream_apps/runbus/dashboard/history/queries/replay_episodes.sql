-- The stored episodes of a run in the order of their ends, behind one of them.
SELECT
    agent_id::String AS agent,
    attempt,
    env,
    episode,
    revision,
    `return`,
    length,
    reason::String AS reason,
    complete,
    first_seq,
    last_seq,
    toUnixTimestamp64Micro(e.first_ts) AS first_ts,
    toUnixTimestamp64Micro(e.last_ts) AS last_ts,
    labels::Map(String, String) AS labels,
    stop,
    arraySum(m -> m.2 - m.1 + 1, missing) AS missing,
    kafka_partition AS p,
    kafka_offset AS o
FROM
(
    SELECT *
    FROM episodes
    WHERE run_id = {run:String} AND $below
    $newest
) AS e
WHERE (last_ts, agent, attempt, env, episode)
    > ({after_last_ts:Int64}, {after_agent:String}, {after_attempt:Int64}, {after_env:Int32}, {after_episode:Int64})
ORDER BY last_ts, agent, attempt, env, episode
LIMIT {most:UInt32}
