-- What ClickHouse has of some streams' steps, each in [first, produced): rows, different steps, steps in dead letters.
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
SELECT w.n AS n, rows.stored AS stored, rows.steps AS steps, letters.dead AS dead
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
LEFT JOIN
(
    SELECT one.n AS n, sum(one.steps) AS dead
    FROM
    (
        SELECT k.n AS n, d.partition AS partition, d.offset AS offset, max(d.count) AS steps
        FROM dead_letters AS d
        INNER JOIN wanted AS k ON d.run_id = k.run AND d.agent_id = k.agent AND d.attempt = k.attempt
        WHERE d.topic = {topic:String} AND d.component = 'sink' AND d.seq >= k.first AND d.seq < k.produced
        GROUP BY k.n, d.partition, d.offset
    ) AS one
    GROUP BY one.n
) AS letters ON letters.n = w.n
ORDER BY n
