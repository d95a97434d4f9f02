-- The streams of one run that have not ended: whether they take commands, and whether the agent has a newer one.
SELECT
    agent_id,
    attempt,
    commands != '' AS takes,
    attempt < max(attempt) OVER (PARTITION BY agent_id) AS replaced
FROM stream_summary
WHERE run_id = {run_id:String} AND NOT finished
ORDER BY agent_id, attempt
