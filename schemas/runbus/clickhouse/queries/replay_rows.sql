-- What every step of a stretch of a stream has, for RowBinary: each column has one fixed size. `layout` is the place of
-- the row's key (see replay_layouts) in `layouts`, from 1 on. A step that a journal sent again is there once, here and in the queries
-- beside it.
SELECT
    seq,
    env,
    episode,
    step,
    toUnixTimestamp64Micro(ts),
    reward,
    terminated,
    truncated,
    if(
        length({layouts:Array(String)}) = 1,
        1,
        toUInt32(indexOf(
            {layouts:Array(String)},
            toString((
                if(startsWith(action_dtype, 'absent:'), substring(action_dtype, 8), action_dtype),
                length(action_shape),
                arraySlice(action_shape, 2),
                if(startsWith(observation_dtype, 'absent:'), substring(observation_dtype, 8), observation_dtype),
                length(observation_shape),
                arraySlice(observation_shape, 2)
            ))
        ))
    )::UInt32,
    toUInt32(length(action_raw)),
    toUInt32(length(observation_raw)),
    NOT startsWith(action_dtype, 'absent:'),
    NOT startsWith(observation_dtype, 'absent:')
FROM steps
WHERE run_id = {run_id:String} AND agent_id = {agent_id:String} AND attempt = {attempt:Int64}
    AND seq BETWEEN {first:Int64} AND {last:Int64}
ORDER BY seq
LIMIT 1 BY seq
