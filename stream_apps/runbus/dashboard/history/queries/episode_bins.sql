-- The rewards of a whole episode in bins of {width} steps: few numbers, whatever its length. A bin with fewer steps than it
-- has places lacks some. Rewards that are not finite are in `bad` only.
SELECT
    toInt64(step - step % {width:Int32}) AS bin,
    count() AS count,
    countIf(NOT isFinite(reward)) AS bad,
    minIf(reward, isFinite(reward) AND step > 0) AS min,
    maxIf(reward, isFinite(reward) AND step > 0) AS max
FROM steps
WHERE $episode
GROUP BY bin
ORDER BY bin
LIMIT {most:UInt32}
