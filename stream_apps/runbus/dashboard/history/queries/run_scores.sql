-- How a run was judged: each name and judge, how often and how well; the newest judgement of each as a sample.
SELECT
    name::String AS name,
    judge,
    toInt64(count()) AS scores,
    ifNull(avg(value), nan) AS mean,
    ifNull(min(value), nan) AS min,
    ifNull(max(value), nan) AS max,
    argMax(label, ts)::String AS label,
    argMax(text, ts) AS text,
    argMax(agent_id, ts)::String AS agent,
    argMax(agent_attempt, ts) AS attempt,
    argMax(env, ts) AS env,
    argMax(episode, ts) AS episode,
    toUnixTimestamp64Micro(max(s.ts)) AS newest_ts
FROM scores AS s
WHERE run_id = {run:String}
GROUP BY name, judge
ORDER BY name, judge
LIMIT {most:UInt32}
