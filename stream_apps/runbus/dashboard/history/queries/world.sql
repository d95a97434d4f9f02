-- The agents of one episode of a world. Of an agent that was started again only the newest attempt counts.
SELECT
    agent_id::String AS agent,
    attempt,
    count() AS rows,
    min(tick) AS first_tick,
    max(tick) AS last_tick,
    min(seq) AS first_seq,
    max(seq) AS last_seq,
    toInt64(max(step)) AS last_step,
    sumIf(reward, step > 0) AS stored_return,
    max(t.terminated) AS terminated,
    max(t.truncated) AS truncated,
    toUnixTimestamp64Micro(max(t.ts)) AS newest_ts
FROM steps AS t
WHERE run_id = {run:String} AND env = {env:Int32} AND episode = {episode:Int64} AND tick >= 0 AND $below
GROUP BY agent, attempt
ORDER BY agent, attempt DESC
LIMIT 1 BY agent
LIMIT {most:UInt32}
