-- How far the curves of some runs reach.
SELECT count() AS points, min(toInt64($x)) AS first, max(toInt64($x)) AS last
FROM episodes
WHERE run_id IN {runs:Array(String)} AND $below
