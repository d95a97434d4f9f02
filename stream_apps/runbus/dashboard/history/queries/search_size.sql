-- How much a search looks through: the steps whose action or observation is text or JSON, and their episodes.
SELECT
    toInt64(count()) AS steps,
    toInt64(uniqExact(agent_id, attempt, env, episode)) AS episodes
FROM steps
WHERE run_id = {run:String} AND ({agent:String} = '' OR agent_id = {agent:String})
    AND ({attempt:Int64} < 0 OR attempt = {attempt:Int64}) AND ({env:Int32} < 0 OR env = {env:Int32})
    AND ({episode:Int64} < 0 OR episode = {episode:Int64}) AND $below
    AND (action_dtype IN ('text', 'json') OR observation_dtype IN ('text', 'json'))
