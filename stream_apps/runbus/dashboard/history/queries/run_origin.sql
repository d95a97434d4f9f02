-- When a run began: what `relative` counts from.
SELECT toUnixTimestamp64Micro(min(started_at)) AS origin
FROM runs
WHERE run_id = {run:String}
