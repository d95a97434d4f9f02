-- Of the runs whose id starts with {prefix}: how many episodes have ended in the stored steps, how many of those are
-- finalised, and how many finalised ones do not agree with their steps.
SELECT
    (
        SELECT count() FROM episode_returns WHERE startsWith(run_id, {prefix:String}) AND (terminated OR truncated)
    ) AS ended,
    (
        SELECT count() FROM episodes_latest
        WHERE startsWith(run_id, {prefix:String}) AND reason IN ('terminated', 'truncated')
    ) AS finalised,
    (
        SELECT count() FROM episode_check WHERE startsWith(run_id, {prefix:String}) AND NOT same
    ) AS different
