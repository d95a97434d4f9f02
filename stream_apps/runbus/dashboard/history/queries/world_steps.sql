-- The steps of some agents of a world in a range of its ticks.
SELECT
    agent_id::String AS agent,
    seq,
    step,
    tick,
    toUnixTimestamp64Micro(t.ts) AS ts,
    reward,
    terminated,
    truncated,
    t.kind::String AS kind,
    t.status::String AS status,
    parent,
    extras::Map(String, Float64) AS extras,
    info,
    stop,
    t.action_dtype::String AS action_dtype,
    arrayMap(n -> toInt64(n), t.action_shape) AS action_shape,
    t.action_raw AS action,
    t.observation_dtype::String AS observation_dtype,
    arrayMap(n -> toInt64(n), t.observation_shape) AS observation_shape,
    t.observation_raw AS observation
FROM steps AS t
WHERE run_id = {run:String} AND (agent_id, attempt) IN (
        SELECT agent_id, max(attempt)
        FROM steps
        WHERE run_id = {run:String} AND env = {env:Int32} AND episode = {episode:Int64} AND tick >= 0 AND $below
        GROUP BY agent_id
    )
    AND env = {env:Int32} AND episode = {episode:Int64} AND tick BETWEEN {from:Int64} AND {to:Int64} AND $below
ORDER BY agent, seq
LIMIT {most:UInt32}
