-- Finalised episodes of a run (of one agent, or '' = all; of every run if run_id is ''), in the order of their ends, or the newest first.
SELECT
    run_id,
    agent_id,
    attempt,
    env,
    episode,
    e.`return`,
    length,
    toString(reason),
    complete,
    labels,
    toUnixTimestamp64Micro(last_ts) AS last_us
FROM episodes_latest AS e
WHERE ({run_id:String} = '' OR run_id = {run_id:String}) AND ({agent_id:String} = '' OR agent_id = {agent_id:String})
ORDER BY if({newest:Int64} = 1, -last_us, last_us), run_id, agent_id, attempt, env, episode
LIMIT {limit:Int64}
