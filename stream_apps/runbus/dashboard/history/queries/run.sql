-- The streams of a run: what the newest event of each says, and how many rows of it are stored now. These come out of
-- the projection by_episode.
SELECT
    agent_id::String AS agent,
    attempt,
    r.started_at AS started_at,
    r.finished_at AS finished_at,
    if(r.finished_at IS NULL, '', r.outcome) AS outcome,
    r.error AS error,
    r.produced AS produced,
    r.dropped AS dropped,
    r.episodes AS episodes,
    s.stored AS stored,
    s.first_ts AS first_ts,
    s.newest_ts AS newest_ts,
    r.config AS config,
    r.observation_space AS observation_space,
    r.action_space AS action_space,
    r.summary AS summary,
    r.labels AS labels,
    r.tags AS tags,
    r.host AS host,
    r.pid AS pid,
    r.version AS version,
    r.parent AS parent,
    r.parent_seq AS parent_seq,
    r.commands AS commands,
    r.role AS role
FROM
(
    SELECT
        agent_id,
        attempt,
        toUnixTimestamp64Micro(min(started_at)) AS started_at,
        nullIf(toUnixTimestamp64Micro(maxIf(sent_at, kind = 'FINISHED')), 0) AS finished_at,
        argMax(outcome, (kind = 'FINISHED', sent_at))::String AS outcome,
        argMax(error, (kind = 'FINISHED', sent_at)) AS error,
        argMax(produced, (kind = 'FINISHED', sent_at)) AS produced,
        argMax(dropped, (kind = 'FINISHED', sent_at)) AS dropped,
        argMax(episodes, (kind = 'FINISHED', sent_at)) AS episodes,
        argMax(config, (kind = 'FINISHED', sent_at)) AS config,
        argMax(observation_space, (kind = 'FINISHED', sent_at)) AS observation_space,
        argMax(action_space, (kind = 'FINISHED', sent_at)) AS action_space,
        argMax(summary, (kind = 'FINISHED', sent_at)) AS summary,
        argMax(labels, (kind = 'FINISHED', sent_at))::Map(String, String) AS labels,
        argMax(tags, (kind = 'FINISHED', sent_at))::Array(String) AS tags,
        argMax(host, (kind = 'FINISHED', sent_at))::String AS host,
        argMax(pid, (kind = 'FINISHED', sent_at)) AS pid,
        argMax(version, (kind = 'FINISHED', sent_at))::String AS version,
        argMax(parent, (kind = 'FINISHED', sent_at)) AS parent,
        argMax(parent_seq, (kind = 'FINISHED', sent_at)) AS parent_seq,
        argMax(commands, (kind = 'FINISHED', sent_at)) AS commands,
        argMax(role, (kind = 'FINISHED', sent_at))::String AS role
    FROM runs
    WHERE run_id = {run:String} AND $below
    GROUP BY agent_id, attempt
) AS r
FULL OUTER JOIN
(
    SELECT
        agent_id,
        attempt,
        count() AS stored,
        toUnixTimestamp64Micro(min(ts)) AS first_ts,
        toUnixTimestamp64Micro(max(ts)) AS newest_ts
    FROM steps
    WHERE run_id = {run:String}
    GROUP BY agent_id, attempt
) AS s USING (agent_id, attempt)
ORDER BY started_at, agent, attempt
LIMIT {most:UInt32}
