-- Notes, tags and pins: everything that was ever said on the topic annotations, one row a record. removed says that the
-- annotation of these first eight columns holds no more; annotations_latest has what holds.
CREATE TABLE IF NOT EXISTS annotations
(
    run_id LowCardinality(String),
    agent_id LowCardinality(String),
    attempt Int64,
    env Int32,
    episode Int64,
    step Int32,
    kind LowCardinality(String),
    name String,
    text String CODEC(ZSTD(1)),
    author LowCardinality(String),
    sent_at DateTime64(6, 'UTC'),
    removed Bool,
    kafka_topic_id LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    INDEX kafka_position (kafka_partition, kafka_offset) TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (run_id, agent_id, attempt, env, episode, step, kind, name)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS annotations_landing
(
    kafka_topic_id String,
    kafka_partition Int32,
    kafka_offset Int64,
    run_id String,
    agent_id String,
    attempt Int64,
    env Int32,
    episode Int64,
    step Int32,
    kind String,
    name String,
    text String,
    author String,
    sent_at Int64,
    removed Bool,
    record_end String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS annotations_landing_view TO annotations AS
SELECT
    run_id,
    agent_id,
    attempt,
    env,
    episode,
    step,
    kind,
    name,
    text,
    author,
    fromUnixTimestamp64Micro(a.sent_at, 'UTC') AS sent_at,
    removed,
    kafka_topic_id,
    kafka_partition,
    kafka_offset
FROM annotations_landing AS a
WHERE 0 = (
    throwIf(record_end != concat('end ', toString(kafka_offset)), 'runbus: annotations: bytes follow the record')
    + throwIf(length(run_id) > 255, 'runbus: annotations.run_id is longer than 255 bytes')
    + throwIf(match(run_id, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: annotations.run_id has / or a control character in it')
    + throwIf(length(agent_id) > 255, 'runbus: annotations.agent_id is longer than 255 bytes')
    + throwIf(match(agent_id, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: annotations.agent_id has / or a control character in it')
    + throwIf(NOT length(kind) BETWEEN 1 AND 255, 'runbus: annotations.kind is empty or longer than 255 bytes')
    + throwIf(match(kind, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: annotations.kind has / or a control character in it')
    + throwIf(
        arrayExists(x -> NOT isValidUTF8(x), [run_id, agent_id, kind, name, text, author]),
        'runbus: annotations has a text that is not UTF-8'
    )
);

-- What holds: the newest of each annotation, without those that were removed.
CREATE VIEW IF NOT EXISTS annotations_latest AS
SELECT *
FROM
(
    SELECT *
    FROM annotations
    ORDER BY run_id, agent_id, attempt, env, episode, step, kind, name, kafka_offset DESC
    LIMIT 1 BY run_id, agent_id, attempt, env, episode, step, kind, name
) AS a
WHERE NOT a.removed;

-- References to files: what recorders said with `artifact`, one row each, as it was said.
CREATE VIEW IF NOT EXISTS artifacts AS
SELECT
    run_id,
    source,
    attempt,
    seq,
    JSONExtractString(m.text, 'name') AS name,
    m.name AS type,
    JSONExtractString(m.text, 'uri') AS uri,
    JSONExtractInt(m.text, 'bytes') AS bytes,
    JSONExtractString(m.text, 'sha256') AS sha256,
    axis,
    nullIf(m.at, toInt64(-9223372036854775808)) AS at,
    agent_id,
    agent_attempt,
    env,
    episode,
    ts
FROM metrics AS m
WHERE m.kind = 'artifact';
