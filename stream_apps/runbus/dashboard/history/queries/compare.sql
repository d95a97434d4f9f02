-- Mean, median and mean of the middle half (IQM) of the scores of each arm, with 95 % intervals of a stratified bootstrap:
-- each replicate draws anew from each stratum, as many as it has. What it draws is a hash of arm, stratum, bin, replicate
-- and place, so the same scores have the same intervals. With fewer than 4 runs in a stratum there is none.
WITH pool -> arrayAvg(arraySlice(pool, 1 + intDiv(length(pool), 4), length(pool) - 2 * intDiv(length(pool), 4))) AS iqm_of
SELECT
    p.arm AS arm,
    p.bin AS bin,
    p.seeds AS seeds,
    p.strata AS strata,
    p.episodes AS episodes,
    p.runs AS runs,
    p.scores AS scores,
    p.mean AS mean,
    p.median AS median,
    p.iqm AS iqm,
    if(p.seeds < 4, nan, r.means[1]) AS mean_low,
    if(p.seeds < 4, nan, r.means[2]) AS mean_high,
    if(p.seeds < 4, nan, r.medians[1]) AS median_low,
    if(p.seeds < 4, nan, r.medians[2]) AS median_high,
    if(p.seeds < 4, nan, r.iqms[1]) AS iqm_low,
    if(p.seeds < 4, nan, r.iqms[2]) AS iqm_high
FROM
(
    SELECT
        arm,
        bin,
        min(length(a.runs)) AS seeds,
        count() AS strata,
        sum(a.episodes) AS episodes,
        groupArrayArray(a.runs) AS runs,
        groupArrayArray(a.scores) AS scores,
        arraySort(scores) AS pool,
        arrayAvg(pool) AS mean,
        arrayReduce('quantileExactInclusive(0.5)', pool) AS median,
        iqm_of(pool) AS iqm
    FROM
    (
$arms
        ORDER BY arm, bin, stratum
    ) AS a
    GROUP BY arm, bin
) AS p
LEFT JOIN
(
    SELECT
        arm,
        bin,
        quantilesExactInclusive(0.025, 0.975)(arrayAvg(pool)) AS means,
        quantilesExactInclusive(0.025, 0.975)(arrayReduce('quantileExactInclusive(0.5)', pool)) AS medians,
        quantilesExactInclusive(0.025, 0.975)(iqm_of(pool)) AS iqms
    FROM
    (
        SELECT
            arm,
            bin,
            replicate,
            arraySort(groupArrayArray(arrayMap(
                place -> scores[1 + cityHash64(arm, stratum, bin, replicate, place) % length(scores)],
                range(length(scores))
            ))) AS pool
        FROM
        (
$arms
        )
        ARRAY JOIN range({replicates:UInt32}) AS replicate
        GROUP BY arm, bin, replicate
    )
    GROUP BY arm, bin
) AS r USING (arm, bin)
ORDER BY arm, bin
