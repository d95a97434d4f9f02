-- The steps of an episode, without its reset, each once.
SELECT
    run_id,
    agent_id,
    attempt,
    env,
    episode,
    step,
    toUnixTimestamp64Micro(ts) AS ts_us,
    reward,
    terminated,
    truncated,
    info,
    action_dtype,
    action_shape,
    action_raw,
    NOT (empty(action_dtype) OR startsWith(action_dtype, 'absent:') OR startsWith(action_dtype, 'omitted:')),
    observation_dtype,
    observation_shape,
    observation_raw,
    NOT (empty(observation_dtype) OR startsWith(observation_dtype, 'absent:') OR startsWith(observation_dtype, 'omitted:'))
FROM steps
WHERE run_id = {run_id:String} AND agent_id = {agent_id:String} AND attempt = {attempt:Int64} AND env = {env:Int32}
    AND episode = {episode:Int64} AND step > 0
ORDER BY seq
LIMIT 1 BY seq
