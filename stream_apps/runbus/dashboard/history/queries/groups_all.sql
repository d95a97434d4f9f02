-- What all groups of a run are together: how many, how many of them teach nothing because all their returns are the same.
SELECT
    count() AS groups,
    countIf(low = high AND n > 1) AS zero_variance,
    countIf(n > 1) AS comparable,
    sum(n) AS rollouts
FROM
(
    SELECT labels[{by:String}] AS `group`, count() AS n, min(r) AS low, max(r) AS high
    FROM
    (
$rollouts
    )
    WHERE mapContains(labels, {by:String}) AND ({policy:String} = '' OR labels['policy'] = {policy:String})
        AND isFinite(r)
    GROUP BY `group`
)
