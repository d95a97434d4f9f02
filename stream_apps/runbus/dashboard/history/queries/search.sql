-- Steps whose action or observation is text or JSON with a word in it, small and large letters alike; `text` is what is
-- around the word.
SELECT
    agent_id::String AS agent,
    attempt,
    env,
    episode,
    toInt64(step) AS step,
    seq,
    substringUTF8(said, greatest(1, positionCaseInsensitiveUTF8(said, {q:String}) - 60), 200) AS text
FROM
(
    SELECT
        *,
        if(in_action, action_raw, observation_raw) AS said,
        action_dtype IN ('text', 'json') AND positionCaseInsensitiveUTF8(action_raw, {q:String}) > 0 AS in_action,
        observation_dtype IN ('text', 'json') AND positionCaseInsensitiveUTF8(observation_raw, {q:String}) > 0 AS in_observation
    FROM steps
    WHERE run_id = {run:String} AND ({agent:String} = '' OR agent_id = {agent:String})
        AND ({attempt:Int64} < 0 OR attempt = {attempt:Int64}) AND ({env:Int32} < 0 OR env = {env:Int32})
        AND ({episode:Int64} < 0 OR episode = {episode:Int64}) AND $below
)
WHERE in_action OR in_observation
ORDER BY agent, attempt, seq
LIMIT {most:UInt32}
