-- What people put on a run, and what is in it, the newest first; of one episode if one is asked for. 0, -1 or '' = not said.
SELECT
    kind::String AS kind,
    name,
    text,
    author::String AS author,
    agent_id::String AS agent,
    attempt,
    env,
    episode,
    step,
    toUnixTimestamp64Micro(sent_at) AS ts
FROM annotations_latest
WHERE run_id = {run:String}
    AND ({episode:Int64} < 0 OR (
        agent_id IN ('', {agent:String}) AND attempt IN (0, {attempt:Int64}) AND env = {env:Int32} AND episode = {episode:Int64}
    ))
ORDER BY sent_at DESC, kind, name
LIMIT {most:UInt32}
