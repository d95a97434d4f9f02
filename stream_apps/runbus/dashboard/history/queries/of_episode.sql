run_id = {run:String} AND agent_id = {agent:String} AND attempt = {attempt:Int64} AND env = {env:Int32}
    AND episode = {episode:Int64}
    -- the episodes beside it bound its rows, so that a long stream is not read whole
    AND seq >= (
        SELECT max(last_seq)
        FROM episodes
        WHERE run_id = {run:String} AND agent_id = {agent:String} AND attempt = {attempt:Int64} AND env = {env:Int32}
            AND episode BETWEEN {episode:Int64} - 50 AND {episode:Int64} - 1
    )
    AND seq <= (
        SELECT if(count() = 0, 9223372036854775807, min(first_seq))
        FROM episodes
        WHERE run_id = {run:String} AND agent_id = {agent:String} AND attempt = {attempt:Int64} AND env = {env:Int32}
            AND episode BETWEEN {episode:Int64} + 1 AND {episode:Int64} + 50
    )
    AND $below
