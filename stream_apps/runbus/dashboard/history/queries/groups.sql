-- The rollouts of each group (a label of the episodes): their returns or scores, whether they differ at all, and pass@k without bias.
SELECT
    labels[{by:String}] AS `group`,
    count() AS n,
    avg(r) AS mean,
    stddevPop(r) AS std,
    min(r) AS min,
    max(r) AS max,
    min = max AS zero_variance,
    countIf(r >= {success:Float64}) AS passed,
    arrayMap(k -> multiIf(
        n < k, nan,
        passed = 0, 0,
        n - passed < k, 1,
        1 - arrayProduct(arrayMap(i -> 1 - k / i, range(toUInt64(n - passed + 1), toUInt64(n + 1))))
    ), {ks:Array(UInt32)}) AS pass_at,
    arraySlice(arraySort(groupArray(256)(r)), 1, 256) AS returns,
    avg(e.length) AS length,
    countIf(reason = 'truncated') / n AS truncated,
    argMax((agent_id::String, attempt, env, episode), (r, cityHash64(id))) AS best,
    argMin((agent_id::String, attempt, env, episode), (r, cityHash64(id))) AS worst,
    $key AS key
FROM
(
$rollouts
) AS e
WHERE mapContains(labels, {by:String}) AND ({policy:String} = '' OR labels['policy'] = {policy:String}) AND isFinite(r)
GROUP BY `group`
HAVING $after
ORDER BY key $direction, `group` $direction
LIMIT {most:UInt32}
