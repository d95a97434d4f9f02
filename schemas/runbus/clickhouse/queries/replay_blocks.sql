-- How many different steps a stream has in each stretch of `size` seq, up to `last`.
SELECT intDiv(seq, {size:Int64}) AS number, groupBitmap(toUInt64(seq)) AS rows
FROM steps
WHERE run_id = {run_id:String} AND agent_id = {agent_id:String} AND attempt = {attempt:Int64} AND seq <= {last:Int64}
GROUP BY number
ORDER BY number
