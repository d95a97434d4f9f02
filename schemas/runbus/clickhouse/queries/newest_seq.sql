-- The newest stored step of one stream; -1 = none.
SELECT if(count() = 0, -1, max(seq)) AS seq
FROM steps
WHERE run_id = {run_id:String} AND agent_id = {agent_id:String} AND attempt = {attempt:Int64}
