-- The newest runs.
SELECT run_id, agents, attempts, started_at, finished_at, outcome, produced, dropped, episodes
FROM run_summary
ORDER BY started_at DESC, run_id
LIMIT {limit:UInt32}
