    SELECT *, `return` AS r
    FROM episodes
    WHERE run_id = {run:String} AND ({agent:String} = '' OR agent_id = {agent:String}) AND $below
    $newest
