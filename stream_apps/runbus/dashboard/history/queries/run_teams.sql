-- World episodes of a run, over its agents, the newest first, a page at a time; by the rule of team_episodes: of an agent
-- that was started again only its newest attempt counts.
SELECT
    env,
    episode,
    count() AS agents,
    sum(e.`return`) AS team_return,
    avg(e.`return`) AS mean_return,
    min(e.`return`) AS min_return,
    max(e.`return`) AS max_return,
    max(e.length) AS length,
    min(e.complete) AS complete,
    toUnixTimestamp64Micro(min(e.first_ts)) AS first_ts,
    toUnixTimestamp64Micro(max(e.last_ts)) AS last_ts
FROM
(
    SELECT *, max(attempt) OVER (PARTITION BY agent_id) AS newest_attempt
    FROM
    (
        SELECT *
        FROM episodes
        WHERE run_id = {run:String} AND $below
        $newest
    )
) AS e
WHERE attempt = newest_attempt
GROUP BY env, episode
HAVING $after
ORDER BY last_ts $direction, env $direction, episode $direction
LIMIT {most:UInt32}
