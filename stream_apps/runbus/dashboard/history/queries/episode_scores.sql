-- The judgements of one episode and of its steps, in the order in which they came; step -1 = of the whole.
SELECT
    name::String AS name,
    ifNull(value, nan) AS value,
    label::String AS label,
    text,
    judge,
    step,
    step_seq AS seq,
    toUnixTimestamp64Micro(s.ts) AS ts
FROM scores AS s
WHERE run_id = {run:String} AND agent_id = {agent:String} AND agent_attempt IN (0, {attempt:Int64})
    AND ((env = {env:Int32} AND episode = {episode:Int64}) OR (episode = -1 AND step_seq BETWEEN {first_seq:Int64} AND {last_seq:Int64}))
ORDER BY ts, name, judge
LIMIT {most:UInt32}
