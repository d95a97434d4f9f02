-- The episodes of the same env before and after one, also unfinished ones; -1 = none.
SELECT
    if(countIf(episode < {episode:Int64}) = 0, -1, maxIf(episode, episode < {episode:Int64})) AS previous,
    if(countIf(episode > {episode:Int64}) = 0, -1, minIf(episode, episode > {episode:Int64})) AS next
FROM steps
WHERE run_id = {run:String} AND agent_id = {agent:String} AND attempt = {attempt:Int64} AND env = {env:Int32}
