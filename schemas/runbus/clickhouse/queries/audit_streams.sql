-- What is stored of each stream: rows, how many different steps, and what is there twice.
-- run_id: '' = all runs.
SELECT
    run_id,
    agent_id,
    attempt,
    count() AS stored,
    toUInt64(groupBitmap(toUInt64(seq))) AS distinct_seq,
    stored - distinct_seq AS duplicates,
    min(seq) AS first_seq,
    max(seq) AS last_seq,
    max(dropped) AS dropped,
    max(ts) AS newest_ts
FROM steps
WHERE {run_id:String} = '' OR run_id = {run_id:String}
GROUP BY run_id, agent_id, attempt
ORDER BY run_id, agent_id, attempt
