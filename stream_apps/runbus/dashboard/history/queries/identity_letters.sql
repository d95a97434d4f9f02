-- The beginnings, in hexadecimal, of records of some agents that the sink could not store: their headers say which steps.
SELECT key, hex(substring(assumeNotNull(argMax(value, failed_at)), 1, 65536)) AS head
FROM dead_letters
WHERE topic = {topic:String} AND component = 'sink' AND value IS NOT NULL
    AND (run_id, agent_id) IN (SELECT arrayJoin(arrayZip({runs:Array(String)}, {agents:Array(String)})))
    AND NOT has({known:Array(String)}, key)
GROUP BY key
LIMIT {most:UInt32}
