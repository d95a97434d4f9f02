-- The newest runs; the run of the watchdog's canary (docs/watch.md) only if {all}.
SELECT run_id, agents, attempts, started_at, finished_at, outcome, produced, dropped, episodes
FROM run_summary
WHERE {all:Bool} OR run_id != {canary:String}
ORDER BY started_at DESC, run_id
LIMIT {limit:UInt32}
