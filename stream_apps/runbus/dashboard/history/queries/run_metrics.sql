-- The metrics of a run, by name and axis: how many values there are, from how many sources, how far they reach, the newest.
SELECT
    name::String AS name,
    axis::String AS axis,
    toInt64(count()) AS values,
    toInt64(uniqExact(source)) AS sources,
    countIf(at != -9223372036854775808) > 0 AS placed,
    ifNull(argMaxIf(value, (ts, attempt, seq), value IS NOT NULL), nan) AS last,
    toUnixTimestamp64Micro(max(m.ts)) AS newest_ts
FROM metrics AS m
WHERE run_id = {run:String} AND kind = 'metric' AND $below
GROUP BY name, axis
ORDER BY axis, name
LIMIT {most:UInt32}
