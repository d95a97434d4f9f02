-- A curve in bins whose edges are multiples of {width}: a bin that is full never changes. Numbers that are not finite are
-- counted in `bad`, and are in no other figure. Points at the same x have an order too: {ties} places each.
SELECT
    $series,
    bitAnd(x, -{width:Int64}) AS bin,
    countIf(isFinite(y)) AS count,
    count() - count AS bad,
    if(count = 0, nan, minIf(y, isFinite(y))) AS min,
    if(count = 0, nan, maxIf(y, isFinite(y))) AS max,
    if(count = 0, nan, argMinIf(y, place, isFinite(y))) AS first,
    if(count = 0, nan, argMaxIf(y, place, isFinite(y))) AS last,
    sumIf(y, isFinite(y)) AS sum,
    if(count = 0, nan, quantilesExactIf(0.1, 0.9)(y, isFinite(y))[1]) AS p10,
    if(count = 0, nan, quantilesExactIf(0.1, 0.9)(y, isFinite(y))[2]) AS p90
FROM
(
    SELECT *, toUInt64(bitAnd(x, {width:Int64} - 1)) * {ties:UInt64} + tie % {ties:UInt64} AS place
    FROM
    (
$points
    )
)
WHERE x BETWEEN {from:Int64} AND {to:Int64}
GROUP BY $lines, bin
ORDER BY agent, attempt, bin
LIMIT {most:UInt32}
