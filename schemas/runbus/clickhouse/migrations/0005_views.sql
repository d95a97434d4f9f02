-- What people read first. Views only: a cascaded table could drift after a server kill (docs/sql.md).

-- The newest revision of each finalised episode; of one that was said again, after a reset of the app, the newest
-- record. LIMIT BY the sorting key and not by id, which says the same: a filter on the run, the agent or the attempt
-- passes through it to the primary key, and through id it does not.
CREATE VIEW IF NOT EXISTS episodes_latest AS
SELECT *
FROM episodes
ORDER BY run_id, agent_id, attempt, env, episode, revision DESC, kafka_offset DESC
LIMIT 1 BY run_id, agent_id, attempt, env, episode;

-- One row a world episode: what its agents have together. Only the newest attempt of each agent counts, so a team that
-- was started again does not mix with its earlier life.
CREATE VIEW IF NOT EXISTS team_episodes AS
SELECT
    run_id,
    env,
    episode,
    count() AS agents,
    sumMap(map(toString(e.reason), toUInt64(1))) AS reasons,
    sum(e.`return`) AS team_return,
    avg(e.`return`) AS mean_return,
    min(e.`return`) AS min_return,
    max(e.`return`) AS max_return,
    max(e.length) AS length,
    min(e.complete) AS complete,
    min(e.first_ts) AS first_ts,
    max(e.last_ts) AS last_ts
FROM
(
    SELECT *, max(l.attempt) OVER (PARTITION BY run_id, agent_id) AS newest_attempt
    FROM episodes_latest AS l
) AS e
WHERE e.attempt = e.newest_attempt
GROUP BY run_id, env, episode;

-- Each finalised episode beside what its stored steps say. Two sums of the same numbers in another order differ by
-- rounding: as many units of 1e-12 of the largest reward as there are steps are the same. It does not read
-- episode_returns: what a check needs (rewards and rows without resets, distinct seq) is not in the projection that
-- answers that view, and as columns of it would take the projection from everyone who selects all of them.
CREATE VIEW IF NOT EXISTS episode_check AS
SELECT
    run_id,
    agent_id,
    attempt,
    env,
    episode,
    e.revision AS revision,
    e.complete AS complete,
    e.`return` AS `return`,
    s.steps_return AS stored_return,
    e.length AS length,
    s.steps_length AS stored_length,
    s.rows_twice AS duplicate_rows,
    1e-12 * e.length * greatest(abs(e.min_reward), abs(e.max_reward)) AS rounding,
    e.length = s.steps_length AND multiIf(
        isNaN(e.`return`) OR isNaN(s.steps_return), isNaN(e.`return`) AND isNaN(s.steps_return),
        e.`return` = s.steps_return, true,
        isFinite(rounding) AND abs(e.`return` - s.steps_return) <= rounding
    ) AS same
FROM episodes_latest AS e
LEFT JOIN
(
    SELECT
        run_id,
        agent_id,
        attempt,
        env,
        episode,
        sumIf(reward, step > 0) AS steps_return,
        toInt64(countIf(step > 0)) AS steps_length,
        toInt64(count()) - toInt64(groupBitmap(toUInt64(seq))) AS rows_twice
    FROM steps
    GROUP BY run_id, agent_id, attempt, env, episode
) AS s USING (run_id, agent_id, attempt, env, episode);

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
    maxIf(r.sent_at, kind = 'STARTED') AS announced_at,
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
    argMax(r.version, (kind = 'FINISHED', r.sent_at)) AS version,
    argMax(r.labels, (kind = 'FINISHED', r.sent_at)) AS labels,
    argMax(r.tags, (kind = 'FINISHED', r.sent_at)) AS tags,
    argMax(r.parent, (kind = 'FINISHED', r.sent_at)) AS parent,
    argMax(r.parent_seq, (kind = 'FINISHED', r.sent_at)) AS parent_seq,
    argMax(r.logged, (kind = 'FINISHED', r.sent_at)) AS logged,
    argMax(r.commands, (kind = 'FINISHED', r.sent_at)) AS commands,
    any(r.role) AS role,
    argMax(r.metrics, (kind = 'FINISHED', r.sent_at)) AS metrics,
    argMax(r.metrics_dropped, (kind = 'FINISHED', r.sent_at)) AS metrics_dropped
FROM runs AS r
GROUP BY run_id, agent_id, attempt;

-- What each stream was asked by `runbus control`, and what it answered: one row a command and stream. answer is empty
-- while the loop has it and has not answered.
CREATE VIEW IF NOT EXISTS command_answers AS
SELECT
    run_id,
    agent_id,
    attempt,
    id,
    any(x.command) AS command,
    any(x.key) AS key,
    any(x.value) AS value,
    fromUnixTimestamp64Micro(any(x.sent_at), 'UTC') AS sent_at,
    fromUnixTimestamp64Micro(any(x.taken_at), 'UTC') AS taken_at,
    argMax(x.answer, x.answered_at) AS answer,
    argMax(x.note, x.answered_at) AS note,
    if(max(x.answered_at) = 0, NULL, fromUnixTimestamp64Micro(max(x.answered_at), 'UTC')) AS answered_at
FROM
(
    SELECT
        run_id,
        agent_id,
        attempt,
        arrayJoin(JSONExtractArrayRaw(r.commands)) AS entry,
        JSONExtractString(entry, 'id') AS id,
        JSONExtractString(entry, 'command') AS command,
        JSONExtractString(entry, 'key') AS key,
        JSONExtractString(entry, 'value') AS value,
        JSONExtractInt(entry, 'sent_at') AS sent_at,
        JSONExtractInt(entry, 'taken_at') AS taken_at,
        JSONExtractString(entry, 'answer') AS answer,
        JSONExtractString(entry, 'note') AS note,
        JSONExtractInt(entry, 'answered_at') AS answered_at
    FROM runs AS r
    WHERE r.commands NOT IN ('', '[]')
) AS x
GROUP BY run_id, agent_id, attempt, id;

-- One row a run. Its outcome is that of the streams that no other one has replaced: running while one of them has not
-- ended, else the worst. A newer attempt of an agent replaces an older one (a worker that was started again) unless both
-- were there at once (two recorders of one name): then the older one has steps from after the newer one's start, or its
-- recorder has sent STARTED again. What an older attempt says at its end does not count: it may be sent late. Labels and
-- tags are those of the newest stream. A source of metrics alone (role) is no agent: how it ended counts as theirs, and
-- its labels and tags only in a run without agents.
CREATE VIEW IF NOT EXISTS run_summary AS
SELECT
    run_id,
    uniqExactIf(c.agent_id, c.role = '') AS agents,
    countIf(c.role = '') AS attempts,
    min(c.started_at) AS started_at,
    if(countIf(c.current AND NOT c.finished) = 0, maxIf(c.ended_at, c.current), NULL) AS finished_at,
    multiIf(
        countIf(c.current AND NOT c.finished) > 0, 'running',
        countIf(c.current AND c.outcome = 'failed') > 0, 'failed',
        countIf(c.current AND c.outcome = 'interrupted') > 0, 'interrupted',
        'completed'
    ) AS outcome,
    sum(c.produced) AS produced,
    sum(c.dropped) AS dropped,
    sum(c.episodes) AS episodes,
    argMax(c.labels, (c.role = '', c.attempt)) AS labels,
    argMax(c.tags, (c.role = '', c.attempt)) AS tags
FROM
(
    SELECT
        s.*,
        s.attempt = s.newest_attempt
        OR toUnixTimestamp64Micro(s.announced_at) > s.newest_attempt
        OR toUnixTimestamp64Micro(n.newest_at) > s.newest_attempt AS current
    FROM
    (
        SELECT *, max(t.attempt) OVER (PARTITION BY run_id, agent_id) AS newest_attempt
        FROM stream_summary AS t
    ) AS s
    LEFT JOIN
    (
        SELECT run_id, agent_id, attempt, max(ts) AS newest_at
        FROM steps
        WHERE (run_id, agent_id, attempt) IN
        (
            SELECT run_id, agent_id, arrayJoin(arrayPopBack(arraySort(groupUniqArray(r.attempt))))
            FROM runs AS r
            GROUP BY run_id, agent_id
        )
        GROUP BY run_id, agent_id, attempt
    ) AS n USING (run_id, agent_id, attempt)
) AS c
GROUP BY run_id;

-- What each component could not use, each source once: a letter that was written again after a crash is the same letter.
-- LIMIT BY the sorting key, so that a filter on it passes through.
CREATE VIEW IF NOT EXISTS dead_letters_latest AS
SELECT *
FROM dead_letters
ORDER BY topic, topic_id, partition, offset, component, key, failed_at DESC, kafka_offset DESC
LIMIT 1 BY topic, topic_id, partition, offset, component, key;
