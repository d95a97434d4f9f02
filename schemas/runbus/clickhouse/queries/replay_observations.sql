-- The observations of a stretch of a stream, for RawBLOB: their bytes, one behind another.
SELECT observation_raw
FROM steps
WHERE run_id = {run_id:String} AND agent_id = {agent_id:String} AND attempt = {attempt:Int64}
    AND seq BETWEEN {first:Int64} AND {last:Int64}
ORDER BY seq
LIMIT 1 BY seq
