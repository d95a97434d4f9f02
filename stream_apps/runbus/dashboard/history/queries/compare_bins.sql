    -- the mean of each run in each bin of x, over the episodes that ended by themselves
    SELECT
        run_id::String AS run,
        x - positiveModulo(x, {width:Int64}) AS bin,
        avg(e.`return`) AS y,
        count() AS episodes
    FROM
    (
        SELECT run_id, `return`, reason, toInt64($x) AS x
        FROM episodes
        WHERE run_id IN {runs:Array(String)} AND $below
        $newest
    ) AS e
    WHERE reason IN ('terminated', 'truncated') AND isFinite(`return`)
    GROUP BY run, bin
