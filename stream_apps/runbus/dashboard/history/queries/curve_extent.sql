-- How far the points of a curve reach, and how many there are, in the range that is asked for.
SELECT count() AS points, min(x) AS first, max(x) AS last, uniqExact($lines) AS lines
FROM
(
$points
)
WHERE x BETWEEN {from:Int64} AND {to:Int64}
