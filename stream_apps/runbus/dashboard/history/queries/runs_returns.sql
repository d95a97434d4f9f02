    SELECT run_id::String AS run, 1 AS known, avg(e.`return`) AS mean_return
    FROM
    (
        SELECT run_id, `return`
        FROM episodes
        WHERE $which AND kafka_offset < transform(
            kafka_partition,
            mapKeys({below_episodes:Map(Int32, Int64)}),
            mapValues({below_episodes:Map(Int32, Int64)}),
            toInt64(9223372036854775807)
        )
        ORDER BY run_id, last_ts DESC
        LIMIT 256 BY run_id
    ) AS e
    GROUP BY run_id
