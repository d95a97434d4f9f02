    -- with what was judged late: the return with late rewards, or one score by its name
    SELECT e.*, if({score:String} = 'return_scored', s.return_scored, if(mapContains(s.scores, {score:String}), s.scores[{score:String}], nan)) AS r
    FROM
    (
        SELECT *
        FROM episodes
        WHERE run_id = {run:String} AND ({agent:String} = '' OR agent_id = {agent:String}) AND $below
        $newest
    ) AS e
    LEFT JOIN
    (
        SELECT agent_id, attempt, env, episode, return_scored, scores
        FROM scored_episodes
        WHERE run_id = {run:String}
    ) AS s USING (agent_id, attempt, env, episode)
