-- How the episodes of a run ended: the newest revision of each counts. One without a step is no episode to anybody.
SELECT if(length = 0, 'only its reset', reason::String) AS reason, count() AS count
FROM
(
    SELECT reason, length
    FROM episodes
    WHERE run_id = {run:String} AND ({agent:String} = '' OR agent_id = {agent:String})
        AND ({attempt:Int64} < 0 OR attempt = {attempt:Int64}) AND ({env:Int32} < 0 OR env = {env:Int32})
        AND $below
    $newest
)
GROUP BY reason
ORDER BY count DESC, reason
