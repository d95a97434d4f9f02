-- Each agent of the runs whose id starts with {prefix}: what is stored, how fresh it is, and how well it does lately.
-- recent_return is the mean return of the 20 newest finished episodes, NaN before the first.
SELECT
    run_id,
    agent_id,
    sum(rows_stored) AS steps,
    countIf(terminated OR truncated) AS episodes,
    arrayAvg(
        arraySlice(arrayMap(e -> e.2, arraySort(groupArrayIf((started_at, `return`), terminated OR truncated))), -20)
    ) AS recent_return,
    greatest(0, dateDiff('millisecond', max(newest_at), now64(6, 'UTC'))) AS age_ms
FROM episode_returns
WHERE startsWith(run_id, {prefix:String})
GROUP BY run_id, agent_id
ORDER BY run_id, agent_id
