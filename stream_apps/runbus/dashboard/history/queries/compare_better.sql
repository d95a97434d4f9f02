-- How probable it is that a run of one arm scores more than one of another arm, a draw being half of it: the mean over the
-- strata that both have, with a 95 % interval of a stratified bootstrap over the runs. With fewer than 4 runs of either in
-- a stratum there is none.
WITH (mine, theirs) -> arraySum(one -> arraySum(other -> if(one > other, 1, if(one = other, 0.5, 0)), theirs), mine)
    / (length(mine) * length(theirs)) AS better
SELECT
    arm,
    other,
    count() AS strata,
    min(least(length(mine), length(theirs))) AS seeds,
    avg(better(mine, theirs)) AS probability,
    if(seeds < 4, [nan, nan], arrayReduce(
        'quantilesExactInclusive(0.025, 0.975)',
        arrayMap(total -> total / strata, sumForEach(arrayMap(
            replicate -> better(
                arrayMap(place -> mine[1 + cityHash64(arm, stratum, replicate, place) % length(mine)], range(length(mine))),
                arrayMap(
                    place -> theirs[1 + cityHash64(other, stratum, replicate, place) % length(theirs)], range(length(theirs))
                )
            ),
            range({replicates:UInt32})
        )))
    )) AS interval,
    interval[1] AS low,
    interval[2] AS high
FROM
(
    SELECT a.arm AS arm, b.arm AS other, stratum, a.scores AS mine, b.scores AS theirs
    FROM
    (
$arms
    ) AS a
    INNER JOIN
    (
$arms
    ) AS b USING (stratum)
    WHERE a.arm != b.arm
)
GROUP BY arm, other
ORDER BY arm, other
