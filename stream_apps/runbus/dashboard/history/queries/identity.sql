-- What ClickHouse has of some streams' steps, each in [first, produced): rows, and different steps.
WITH wanted AS
(
    SELECT one.1 AS n, one.2 AS run, one.3 AS agent, one.4 AS attempt, one.5 AS first, one.6 AS produced
    FROM
    (
        SELECT arrayJoin(arrayZip(
            arrayEnumerate({runs:Array(String)}), {runs:Array(String)}, {agents:Array(String)},
            {attempts:Array(Int64)}, {firsts:Array(Int64)}, {produced:Array(Int64)}
        )) AS one
    )
)
SELECT w.n AS n, rows.stored AS stored, rows.steps AS steps
FROM wanted AS w
LEFT JOIN
(
    SELECT k.n AS n, count() AS stored, toUInt64(groupBitmap(toUInt64(s.seq))) AS steps
    FROM steps AS s
    INNER JOIN wanted AS k ON s.run_id = k.run AND s.agent_id = k.agent AND s.attempt = k.attempt
    WHERE (s.run_id, s.agent_id, s.attempt) IN (SELECT run, agent, attempt FROM wanted)
        AND s.seq >= k.first AND s.seq < k.produced
    GROUP BY k.n
) AS rows ON rows.n = w.n
ORDER BY n
