    -- the scores of each stratum of each arm, in the order of the runs' names
    SELECT
        arm,
        bin,
        stratum,
        arraySort(groupArray((run, y))) AS pairs,
        pairs.1 AS runs,
        pairs.2 AS scores,
        sum(episodes) AS episodes
    FROM
    (
        SELECT
            *,
            transform(run, {runs:Array(String)}, {arms:Array(String)}, '') AS arm,
            transform(run, {runs:Array(String)}, {strata:Array(String)}, '') AS stratum
        FROM
        (
$scores
        )
    )
    GROUP BY arm, bin, stratum
