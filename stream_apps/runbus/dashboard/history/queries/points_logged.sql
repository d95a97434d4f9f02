    SELECT
        $x AS x,
        extras[{measure:String}] AS y,
        cityHash64(agent_id, attempt, seq) AS tie,
        agent_id,
        attempt AS started
    FROM steps
    WHERE run_id = {run:String} AND ({agent:String} = '' OR agent_id = {agent:String})
        AND ({attempt:Int64} < 0 OR attempt = {attempt:Int64}) AND ({env:Int32} < 0 OR env = {env:Int32})
        AND mapContains(extras, {measure:String}) AND $below
