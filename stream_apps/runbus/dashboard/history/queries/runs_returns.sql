    SELECT run_id::String AS run, 1 AS known, avg(e.`return`) AS mean_return
    FROM
    (
        SELECT run_id, `return`
        FROM episodes
        WHERE $which AND $below_episodes
        ORDER BY run_id, last_ts DESC
        LIMIT 256 BY run_id
    ) AS e
    GROUP BY run_id
