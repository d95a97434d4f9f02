    SELECT
        $x AS x,
        sum(`return`) AS y,
        cityHash64(env, episode) AS tie,
        '' AS agent_id,
        toInt64(-1) AS started
    FROM
    (
        SELECT *, max(attempt) OVER (PARTITION BY agent_id) AS newest_attempt
        FROM
        (
            SELECT agent_id, attempt, env, episode, `return`, last_seq, last_ts
            FROM episodes
            WHERE run_id = {run:String} AND ({agent:String} = '' OR agent_id = {agent:String})
                AND ({attempt:Int64} < 0 OR attempt = {attempt:Int64}) AND ({env:Int32} < 0 OR env = {env:Int32})
                AND $below
            $newest
        )
    )
    WHERE attempt = newest_attempt
    GROUP BY env, episode
