-- What belongs to no step: metrics of learners and evaluations, and scores (docs/sql.md). One row a value, every one
-- that was sent, repeated or not; metrics_latest has the last of each position. A value is identified by (run_id, source,
-- attempt, seq), as a step is. ORDER BY is how curves are read: one name of one run, along its axis.
CREATE TABLE IF NOT EXISTS metrics
(
    run_id LowCardinality(String),
    source LowCardinality(String),
    attempt Int64 CODEC(Delta, ZSTD(1)),
    seq Int64 CODEC(DoubleDelta, ZSTD(1)),
    name LowCardinality(String),
    axis LowCardinality(String),
    at Int64 CODEC(Delta, ZSTD(1)),
    ts DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    value Nullable(Float64) CODEC(ZSTD(1)),
    kind LowCardinality(String),
    agent_id LowCardinality(String),
    agent_attempt Int64 CODEC(ZSTD(1)),
    env Int32 CODEC(ZSTD(1)),
    episode Int64 CODEC(ZSTD(1)),
    step Int32 CODEC(ZSTD(1)),
    step_seq Int64 CODEC(ZSTD(1)),
    judge LowCardinality(String),
    label LowCardinality(String),
    text String CODEC(ZSTD(1)),
    dropped Int64 CODEC(Delta, ZSTD(1)),
    sent_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    kafka_topic_id LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64 CODEC(DoubleDelta, ZSTD(1)),
    INDEX kafka_position (kafka_partition, kafka_offset) TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (run_id, name, axis, source, at, attempt, seq)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;

-- Where the sink inserts MetricBatch records: one row a record, the fields of metric_batch.avsc under their own names.
CREATE TABLE IF NOT EXISTS metrics_landing
(
    kafka_topic_id String,
    kafka_partition Int32,
    kafka_offset Int64,
    run_id String,
    source String,
    attempt Int64,
    first_seq Int64,
    count Int32,
    dropped Int64,
    sent_at Int64,
    names Array(String),
    axes Array(String),
    name String,
    at String,
    ts String,
    value String,
    kind String,
    absent String,
    agent Array(String),
    agent_attempt String,
    env String,
    episode String,
    step String,
    step_seq String,
    judge Array(String),
    label Array(String),
    text Array(String),
    record_end String
)
ENGINE = Null;

-- As steps_landing_view does it: each record is checked against its own count, once, and then cut into rows. Every
-- source column is renamed before the ARRAY JOIN.
CREATE MATERIALIZED VIEW IF NOT EXISTS metrics_landing_view TO metrics AS
SELECT
    b_run_id AS run_id,
    b_source AS source,
    b_attempt AS attempt,
    b_first_seq + s_index AS seq,
    b_names[s_name + 1] AS name,
    b_axes[s_name + 1] AS axis,
    s_at AS at,
    fromUnixTimestamp64Micro(s_ts, 'UTC') AS ts,
    if(s_absent = 1, NULL, s_value) AS value,
    -- a number that a later version knows stays visible as that number
    if(s_kind > 2, toString(s_kind), ['metric', 'score', 'artifact'][s_kind + 1]) AS kind,
    s_agent AS agent_id,
    s_agent_attempt AS agent_attempt,
    s_env AS env,
    s_episode AS episode,
    s_step AS step,
    s_step_seq AS step_seq,
    s_judge AS judge,
    s_label AS label,
    s_text AS text,
    b_dropped AS dropped,
    fromUnixTimestamp64Micro(b_sent_at, 'UTC') AS sent_at,
    b_kafka_topic_id AS kafka_topic_id,
    b_kafka_partition AS kafka_partition,
    b_kafka_offset AS kafka_offset
FROM
(
    SELECT
        toLowCardinality(kafka_topic_id) AS b_kafka_topic_id,
        kafka_partition AS b_kafka_partition,
        kafka_offset AS b_kafka_offset,
        toLowCardinality(run_id) AS b_run_id,
        toLowCardinality(source) AS b_source,
        attempt AS b_attempt,
        first_seq AS b_first_seq,
        dropped AS b_dropped,
        sent_at AS b_sent_at,
        names AS b_names,
        axes AS b_axes,
        toUInt32(count) AS b_count,
        range(b_count) AS v_index,
        v_names AS v_name,
        arrayResize(reinterpret(at, 'Array(Int64)'), b_count, toInt64(-9223372036854775808)) AS v_at,
        reinterpret(ts, 'Array(Int64)') AS v_ts,
        reinterpret(value, 'Array(Float64)') AS v_value,
        arrayResize(reinterpret(kind, 'Array(UInt8)'), b_count, toUInt8(0)) AS v_kind,
        arrayResize(reinterpret(absent, 'Array(UInt8)'), b_count, toUInt8(0)) AS v_absent,
        arrayResize(agent, b_count, '') AS v_agent,
        arrayResize(v_agent_attempts, b_count, toInt64(0)) AS v_agent_attempt,
        arrayResize(v_envs, b_count, toInt32(-1)) AS v_env,
        arrayResize(v_episodes, b_count, toInt64(-1)) AS v_episode,
        arrayResize(v_steps, b_count, toInt32(-1)) AS v_step,
        arrayResize(v_step_seqs, b_count, toInt64(-1)) AS v_step_seq,
        arrayResize(judge, b_count, '') AS v_judge,
        arrayResize(label, b_count, '') AS v_label,
        arrayResize(text, b_count, '') AS v_text
    FROM
    (
        SELECT
            *,
            -- the other checks compare with it, so this one comes first
            count + throwIf(NOT count BETWEEN 1 AND 1000000, 'runbus: metrics.count is not 1 to 1000000') AS rows_count,
            -- cut to whole values, so that a damaged column cannot raise here
            reinterpret(substring(name, 1, bitAnd(length(name), -2)), 'Array(UInt16)') AS v_names,
            reinterpret(substring(agent_attempt, 1, bitAnd(length(agent_attempt), -8)), 'Array(Int64)') AS v_agent_attempts,
            reinterpret(substring(env, 1, bitAnd(length(env), -4)), 'Array(Int32)') AS v_envs,
            reinterpret(substring(episode, 1, bitAnd(length(episode), -8)), 'Array(Int64)') AS v_episodes,
            reinterpret(substring(step, 1, bitAnd(length(step), -4)), 'Array(Int32)') AS v_steps,
            reinterpret(substring(step_seq, 1, bitAnd(length(step_seq), -8)), 'Array(Int64)') AS v_step_seqs
        FROM metrics_landing
    )
    WHERE NOT has([
            throwIf(record_end != concat('end ', toString(kafka_offset)), 'runbus: metrics: bytes follow the record'),
            throwIf(toUInt64(first_seq) > 9223372036853775807, 'runbus: metrics.first_seq is negative or too large'),
            throwIf(toUInt64(attempt) > 9223372036853775807, 'runbus: metrics.attempt is negative or too large'),
            throwIf(toUInt64(dropped) > 9223372036853775807, 'runbus: metrics.dropped is negative or too large'),
            throwIf(toUInt64(sent_at) > 9223372036853775807, 'runbus: metrics.sent_at is negative or too large'),
            throwIf(toUInt64(length(run_id) - 1) > 254, 'runbus: metrics.run_id is empty or longer than 255 bytes'),
            throwIf(match(run_id, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: metrics.run_id has / or a control character in it'),
            throwIf(toUInt64(length(source) - 1) > 254, 'runbus: metrics.source is empty or longer than 255 bytes'),
            throwIf(match(source, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: metrics.source has / or a control character in it'),
            throwIf(
                arrayExists(
                    x -> NOT isValidUTF8(x),
                    arrayConcat([run_id, source], names, axes, agent, judge, label, text)
                ),
                'runbus: metrics has a text that is not UTF-8'
            ),
            throwIf(NOT length(names) BETWEEN 1 AND 65536, 'runbus: metrics.names are not 1 to 65536'),
            throwIf(length(axes) != length(names), 'runbus: metrics.axes are not as many as names'),
            throwIf(has(names, ''), 'runbus: metrics.names has an empty one'),
            throwIf(
                length(arrayDistinct(arrayZip(names, arrayResize(axes, length(names))))) != length(names),
                'runbus: metrics.names has one twice with the same axis'
            ),
            throwIf(length(name) != 2 * rows_count, 'runbus: metrics.name does not hold count values'),
            throwIf(arrayExists(x -> x >= length(names), v_names), 'runbus: metrics.name has an index that is no name''s'),
            throwIf(NOT has([0, 8 * rows_count], length(at)), 'runbus: metrics.at holds neither 0 nor count values'),
            throwIf(length(ts) != 8 * rows_count, 'runbus: metrics.ts does not hold count values'),
            throwIf(length(value) != 8 * rows_count, 'runbus: metrics.value does not hold count values'),
            throwIf(NOT has([0, rows_count], length(kind)), 'runbus: metrics.kind holds neither 0 nor count values'),
            throwIf(NOT has([0, rows_count], length(absent)), 'runbus: metrics.absent holds neither 0 nor count values'),
            throwIf(notEmpty(trimBoth(absent, '\0\x01')), 'runbus: metrics.absent has a value that is neither 0 nor 1'),
            throwIf(NOT has([0, 8 * rows_count], length(agent_attempt)), 'runbus: metrics.agent_attempt holds neither 0 nor count values'),
            throwIf(NOT has([0, 4 * rows_count], length(env)), 'runbus: metrics.env holds neither 0 nor count values'),
            throwIf(NOT has([0, 8 * rows_count], length(episode)), 'runbus: metrics.episode holds neither 0 nor count values'),
            throwIf(NOT has([0, 4 * rows_count], length(step)), 'runbus: metrics.step holds neither 0 nor count values'),
            throwIf(NOT has([0, 8 * rows_count], length(step_seq)), 'runbus: metrics.step_seq holds neither 0 nor count values'),
            throwIf(arrayExists(x -> x < 0, v_agent_attempts), 'runbus: metrics.agent_attempt has a value below 0'),
            throwIf(arrayExists(x -> x < -1, v_envs), 'runbus: metrics.env has a value below -1'),
            throwIf(arrayExists(x -> x < -1, v_episodes), 'runbus: metrics.episode has a value below -1'),
            throwIf(arrayExists(x -> x < -1, v_steps), 'runbus: metrics.step has a value below -1'),
            throwIf(arrayExists(x -> x < -1, v_step_seqs), 'runbus: metrics.step_seq has a value below -1'),
            throwIf(NOT has([0, rows_count], length(agent)), 'runbus: metrics.agent has neither 0 nor count entries'),
            throwIf(NOT has([0, rows_count], length(judge)), 'runbus: metrics.judge has neither 0 nor count entries'),
            throwIf(NOT has([0, rows_count], length(label)), 'runbus: metrics.label has neither 0 nor count entries'),
            throwIf(NOT has([0, rows_count], length(text)), 'runbus: metrics.text has neither 0 nor count entries')
        ], 1)
)
ARRAY JOIN
    v_index AS s_index,
    v_name AS s_name,
    v_at AS s_at,
    v_ts AS s_ts,
    v_value AS s_value,
    v_kind AS s_kind,
    v_absent AS s_absent,
    v_agent AS s_agent,
    v_agent_attempt AS s_agent_attempt,
    v_env AS s_env,
    v_episode AS s_episode,
    v_step AS s_step,
    v_step_seq AS s_step_seq,
    v_judge AS s_judge,
    v_label AS s_label,
    v_text AS s_text;

-- The metrics, each position of each name once: of a learner that was started again from a checkpoint, and so repeats its
-- steps, what the newest attempt says; within an attempt the last. A value without a position is a point of its own; `at`
-- is NULL there. Every value that was ever sent is in `metrics`.
CREATE VIEW IF NOT EXISTS metrics_latest AS
SELECT
    run_id,
    source,
    attempt,
    seq,
    name,
    axis,
    nullIf(m.at, toInt64(-9223372036854775808)) AS at,
    ts,
    value,
    text
FROM metrics AS m
WHERE m.kind = 'metric'
ORDER BY run_id, name, axis, source, m.at, attempt DESC, seq DESC
LIMIT 1 BY
    run_id, name, axis, source, m.at,
    if(m.at = -9223372036854775808, attempt, 0),
    if(m.at = -9223372036854775808, seq, 0);

-- The scores: of those that one judge gave one thing under one name, the last. agent_id is empty, and env, episode, step
-- and step_seq are -1, where a score does not name one; judge is the source where nobody else is named.
CREATE VIEW IF NOT EXISTS scores AS
SELECT
    run_id,
    source,
    attempt,
    seq,
    name,
    ts,
    value,
    label,
    text,
    if(m.judge = '', toString(m.source), toString(m.judge)) AS judge,
    agent_id,
    agent_attempt,
    env,
    episode,
    step,
    step_seq
FROM metrics AS m
WHERE m.kind = 'score'
ORDER BY run_id, name, agent_id, agent_attempt, env, episode, step, step_seq, judge, ts DESC, attempt DESC, seq DESC
LIMIT 1 BY run_id, name, agent_id, agent_attempt, env, episode, step, step_seq, judge;

-- Each finalised episode with its scores, however late they came: those of the episode itself by name (of several judges
-- the last), and `late_reward`, the sum of all scores named `reward`, of the episode and of its steps. A score that names
-- no attempt is of the newest one that has the episode; one that names a step by its seq alone is found through `steps`.
CREATE VIEW IF NOT EXISTS scored_episodes AS
SELECT
    e.*,
    s.scores AS scores,
    s.score_labels AS score_labels,
    ifNull(s.late_reward, 0.) AS late_reward,
    e.`return` + ifNull(s.late_reward, 0.) AS return_scored,
    ifNull(s.judgements, 0) AS judgements
FROM episodes_latest AS e
LEFT JOIN
(
    SELECT
        run_id,
        agent_id,
        of_attempt AS attempt,
        env,
        of_episode AS episode,
        mapFromArrays(
            arrayMap(x -> x.1, groupArrayIf((toString(name), ifNull(value, nan)), whole AND value IS NOT NULL) AS pairs),
            arrayMap(x -> x.2, pairs)
        ) AS scores,
        mapFromArrays(
            arrayMap(x -> x.1, groupArrayIf((toString(name), label), whole AND label != '') AS words),
            arrayMap(x -> x.2, words)
        ) AS score_labels,
        ifNull(sumIf(total, name = 'reward'), 0.) AS late_reward,
        sum(judged) AS judgements
    FROM
    (
        SELECT
            run_id,
            agent_id,
            if(p.agent_attempt != 0, p.agent_attempt, n.newest) AS of_attempt,
            env,
            of_episode,
            name,
            whole,
            argMaxIf(p.value, p.ts, p.value IS NOT NULL) AS value,
            toString(argMaxIf(p.label, p.ts, p.label != '')) AS label,
            sum(p.value) AS total,
            count() AS judged
        FROM
        (
            SELECT
                run_id,
                agent_id,
                r.agent_attempt AS agent_attempt,
                if(r.episode = -1 AND r.step_seq != -1, t.env, r.env) AS env,
                if(r.episode = -1 AND r.step_seq != -1, t.episode, r.episode) AS of_episode,
                name,
                r.step = -1 AND r.step_seq = -1 AS whole,
                r.value AS value,
                r.label AS label,
                r.ts AS ts
            FROM scores AS r
            LEFT JOIN
            (
                SELECT run_id, agent_id, attempt AS agent_attempt, seq AS step_seq, env, episode
                FROM steps
                WHERE (run_id, agent_id, attempt, seq) IN
                (
                    SELECT run_id, agent_id, agent_attempt, step_seq
                    FROM metrics
                    WHERE kind = 'score' AND episode = -1 AND step_seq != -1
                )
            ) AS t ON r.run_id = t.run_id AND r.agent_id = t.agent_id AND r.agent_attempt = t.agent_attempt AND r.step_seq = t.step_seq
            WHERE r.agent_id != '' AND (r.episode != -1 OR r.step_seq != -1)
        ) AS p
        LEFT JOIN
        (
            SELECT run_id, agent_id, env, episode AS of_episode, max(attempt) AS newest
            FROM episodes
            GROUP BY run_id, agent_id, env, episode
        ) AS n USING (run_id, agent_id, env, of_episode)
        GROUP BY run_id, agent_id, of_attempt, env, of_episode, name, whole
    )
    GROUP BY run_id, agent_id, of_attempt, env, of_episode
) AS s USING (run_id, agent_id, attempt, env, episode);
