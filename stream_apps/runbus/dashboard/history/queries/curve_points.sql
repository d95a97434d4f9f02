-- The points of a curve as they are: there are few in the range that is asked for.
SELECT agent_id::String AS agent, started AS attempt, x, y
FROM
(
$points
)
WHERE x BETWEEN {from:Int64} AND {to:Int64}
ORDER BY agent, attempt, x, tie
LIMIT {most:UInt32}
