-- What is stored of each stream of metrics, as audit_streams has it of steps. The source is its agent_id.
-- run_id: '' = all runs.
SELECT
    run_id,
    source AS agent_id,
    attempt,
    count() AS stored,
    toUInt64(groupBitmap(toUInt64(seq))) AS distinct_seq,
    stored - distinct_seq AS duplicates,
    min(seq) AS first_seq,
    max(seq) AS last_seq,
    max(dropped) AS dropped,
    max(ts) AS newest_ts
FROM metrics
WHERE {run_id:String} = '' OR run_id = {run_id:String}
GROUP BY run_id, agent_id, attempt
ORDER BY run_id, agent_id, attempt
