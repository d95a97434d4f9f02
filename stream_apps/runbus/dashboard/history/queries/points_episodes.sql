    SELECT
        $x AS x,
        if({measure:String} = 'length', toFloat64(length), `return`) AS y,
        cityHash64(agent_id, attempt, env, episode) AS tie,
        agent_id,
        attempt AS started
    FROM
    (
        SELECT agent_id, attempt, env, episode, `return`, length, last_seq, last_ts
        FROM episodes
        WHERE run_id = {run:String} AND ({agent:String} = '' OR agent_id = {agent:String})
            AND ({attempt:Int64} < 0 OR attempt = {attempt:Int64}) AND ({env:Int32} < 0 OR env = {env:Int32})
            AND $below
        $newest
    )
