-- The same as replay_rows for a stream of one layout whose values all have one size: they are in the row, with zeros
-- where there is none.
SELECT
    seq,
    env,
    episode,
    step,
    toUnixTimestamp64Micro(ts),
    reward,
    terminated,
    truncated,
    NOT startsWith(action_dtype, 'absent:'),
    NOT startsWith(observation_dtype, 'absent:'),
    toFixedString(action_raw, {action_width:UInt32}),
    toFixedString(observation_raw, {observation_width:UInt32})
FROM steps
WHERE run_id = {run_id:String} AND agent_id = {agent_id:String} AND attempt = {attempt:Int64}
    AND seq BETWEEN {first:Int64} AND {last:Int64}
ORDER BY seq
LIMIT 1 BY seq
