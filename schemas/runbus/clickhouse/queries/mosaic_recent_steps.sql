-- The newest steps of all runs, without resets, each once, the newest first.
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
WHERE step > 0
ORDER BY ts DESC, run_id, agent_id, attempt, seq DESC
LIMIT 1 BY run_id, agent_id, attempt, seq
LIMIT {limit:Int64}
