-- The names of the numbers that a run has logged: in its finalised episodes, behind its last steps, and in the minute of its
-- newest step; `episodes`: how many of them have it.
SELECT name, sum(n) AS episodes
FROM
(
    SELECT arrayJoin(mapKeys(extras_sum))::String AS name, count() AS n
    FROM episodes
    WHERE run_id = {run:String} AND $below
    GROUP BY name
    UNION ALL
    SELECT arrayJoin(mapKeys(logged))::String AS name, 0 AS n
    FROM runs
    WHERE run_id = {run:String}
    UNION ALL
    SELECT DISTINCT arrayJoin(mapKeys(extras))::String AS name, 0 AS n
    FROM steps
    WHERE run_id = {run:String} AND ts >= (SELECT max(ts) - INTERVAL 1 MINUTE FROM steps WHERE run_id = {run:String})
)
GROUP BY name
ORDER BY name
LIMIT {most:UInt32}
