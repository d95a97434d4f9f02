-- Finalised episodes of a run, the newest revision of each, a page at a time.
SELECT
    agent_id::String AS agent,
    attempt,
    env,
    episode,
    revision,
    reason::String AS reason,
    complete,
    arraySum(m -> m.2 - m.1 + 1, missing) AS missing_at_most,
    `return`,
    length,
    first_seq,
    last_seq,
    toUnixTimestamp64Micro(e.first_ts) AS first_ts,
    toUnixTimestamp64Micro(e.last_ts) AS last_ts,
    min_reward,
    max_reward,
    extras_sum::Map(String, Float64) AS extras_sum,
    labels::Map(String, String) AS labels,
    stop,
    has_reset,
    kafka_partition AS p,
    kafka_offset AS o,
    $key AS key
FROM
(
    SELECT *
    FROM episodes
    WHERE run_id = {run:String} AND ({agent:String} = '' OR agent_id = {agent:String})
        AND ({attempt:Int64} < 0 OR attempt = {attempt:Int64}) AND ({env:Int32} < 0 OR env = {env:Int32})
        AND $below
    $newest
) AS e
WHERE ($filter) AND ($after)
ORDER BY key $direction, agent $direction, attempt $direction, env $direction, episode $direction
LIMIT {most:UInt32}
