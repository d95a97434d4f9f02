-- References to what a run wrote, the newest first; of one episode if one is asked for. 0, -1 or '' = not said.
SELECT
    name,
    type::String AS type,
    uri,
    bytes,
    sha256,
    source::String AS source,
    axis::String AS axis,
    ifNull(at, -1) AS position,
    agent_id::String AS agent,
    agent_attempt AS attempt,
    env,
    episode,
    toUnixTimestamp64Micro(a.ts) AS ts
FROM artifacts AS a
WHERE run_id = {run:String}
    AND ({episode:Int64} < 0 OR (
        agent_id IN ('', {agent:String}) AND agent_attempt IN (0, {attempt:Int64}) AND env = {env:Int32} AND episode = {episode:Int64}
    ))
ORDER BY ts DESC, name
LIMIT {most:UInt32}
