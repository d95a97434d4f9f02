    -- the score of each run: the mean return of the newest {over} episodes that ended by themselves
    SELECT
        run_id::String AS run,
        toInt64(0) AS bin,
        avg(e.`return`) AS y,
        count() AS episodes
    FROM
    (
        SELECT *
        FROM
        (
            SELECT run_id, `return`, last_ts, reason
            FROM episodes
            WHERE run_id IN {runs:Array(String)} AND $below
            $newest
        )
        WHERE reason IN ('terminated', 'truncated') AND isFinite(`return`)
        ORDER BY run_id, last_ts DESC
        LIMIT {over:UInt64} BY run_id
    ) AS e
    GROUP BY run
