-- The first step in which two episodes differ, and in what; a step that only one of them has differs. No row = the same.
SELECT
    step,
    count() < 2 AS alone,
    uniqExact(action) > 1 AS action,
    uniqExact(observation) > 1 AS observation,
    uniqExact(reward) > 1 AS reward,
    uniqExact(terminated) > 1 AS terminated,
    uniqExact(truncated) > 1 AS truncated
FROM
(
    SELECT $one
    UNION ALL
    SELECT $other
)
GROUP BY step
HAVING alone OR action OR observation OR reward OR terminated OR truncated
ORDER BY step
LIMIT 1
