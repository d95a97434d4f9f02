-- What people read first. Views only: a cascaded table could drift after a server kill (docs/sql.md).

-- The newest revision of each finalised episode.
CREATE VIEW IF NOT EXISTS episodes_latest AS
SELECT *
FROM episodes
ORDER BY revision DESC
LIMIT 1 BY id;

-- One row an episode, from the raw steps, finished or not. Answered by the projection by_episode.
CREATE VIEW IF NOT EXISTS episode_returns AS
SELECT
    run_id,
    agent_id,
    attempt,
    env,
    episode,
    sum(reward) AS `return`,
    max(step) AS length,
    count() AS rows_stored,
    min(reward) AS min_reward,
    max(reward) AS max_reward,
    min(ts) AS started_at,
    max(ts) AS newest_at,
    max(terminated) AS terminated,
    max(truncated) AS truncated
FROM steps
GROUP BY run_id, agent_id, attempt, env, episode;

-- One row a stream: what its newest event says. produced and dropped are final once outcome is not empty.
CREATE VIEW IF NOT EXISTS stream_summary AS
SELECT
    run_id,
    agent_id,
    attempt,
    min(r.started_at) AS started_at,
    maxIf(r.sent_at, kind = 'FINISHED') AS ended_at,
    countIf(kind = 'FINISHED') > 0 AS finished,
    argMax(r.outcome, (kind = 'FINISHED', r.sent_at)) AS outcome,
    argMax(r.error, (kind = 'FINISHED', r.sent_at)) AS error,
    argMax(r.produced, (kind = 'FINISHED', r.sent_at)) AS produced,
    argMax(r.dropped, (kind = 'FINISHED', r.sent_at)) AS dropped,
    argMax(r.episodes, (kind = 'FINISHED', r.sent_at)) AS episodes,
    argMax(r.config, (kind = 'FINISHED', r.sent_at)) AS config,
    argMax(r.summary, (kind = 'FINISHED', r.sent_at)) AS summary,
    argMax(r.host, (kind = 'FINISHED', r.sent_at)) AS host,
    argMax(r.version, (kind = 'FINISHED', r.sent_at)) AS version
FROM runs AS r
GROUP BY run_id, agent_id, attempt;

-- One row a run. Its outcome is that of each agent's newest attempt: running while one has not ended, else the worst.
CREATE VIEW IF NOT EXISTS run_summary AS
SELECT
    run_id,
    count() AS agents,
    sum(a.attempts) AS attempts,
    min(a.started_at) AS started_at,
    if(min(a.finished), max(a.ended_at), NULL) AS finished_at,
    multiIf(
        NOT min(a.finished), 'running',
        countIf(a.outcome = 'failed') > 0, 'failed',
        countIf(a.outcome = 'interrupted') > 0, 'interrupted',
        'completed'
    ) AS outcome,
    sum(a.produced) AS produced,
    sum(a.dropped) AS dropped,
    sum(a.episodes) AS episodes
FROM
(
    SELECT
        run_id,
        agent_id,
        count() AS attempts,
        min(s.started_at) AS started_at,
        max(s.ended_at) AS ended_at,
        argMax(s.finished, s.attempt) AS finished,
        argMax(s.outcome, s.attempt) AS outcome,
        sum(s.produced) AS produced,
        sum(s.dropped) AS dropped,
        sum(s.episodes) AS episodes
    FROM stream_summary AS s
    GROUP BY run_id, agent_id
) AS a
GROUP BY run_id;
