-- The events around the steps. Every table that is filled from Kafka keeps the position of each row and the same
-- deduplication window as steps: the sink's exactly-once rule is one rule.

-- The start and the end of each stream (run_id, agent_id, attempt), as they were sent.
CREATE TABLE IF NOT EXISTS runs
(
    run_id LowCardinality(String),
    agent_id LowCardinality(String),
    attempt Int64,
    kind LowCardinality(String),
    sent_at DateTime64(6, 'UTC'),
    started_at DateTime64(6, 'UTC'),
    config String CODEC(ZSTD(1)),
    observation_space String CODEC(ZSTD(1)),
    action_space String CODEC(ZSTD(1)),
    produced Int64,
    dropped Int64,
    episodes Int64,
    outcome LowCardinality(String),
    error String CODEC(ZSTD(1)),
    summary String CODEC(ZSTD(1)),
    host LowCardinality(String),
    pid Int32,
    version LowCardinality(String),
    labels Map(LowCardinality(String), String),
    tags Array(LowCardinality(String)),
    parent String,
    parent_seq Int64 DEFAULT -1,
    logged Map(LowCardinality(String), Array(Float64)),
    commands String CODEC(ZSTD(1)),
    role LowCardinality(String),
    metrics Int64,
    metrics_dropped Int64,
    kafka_topic_id LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    INDEX kafka_position (kafka_partition, kafka_offset) TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (run_id, agent_id, attempt, kind)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;

-- Finalised episodes, one row a revision.
CREATE TABLE IF NOT EXISTS episodes
(
    id String,
    revision Int32,
    run_id LowCardinality(String),
    agent_id LowCardinality(String),
    attempt Int64,
    env Int32,
    episode Int64 CODEC(DoubleDelta, ZSTD(1)),
    reason LowCardinality(String),
    complete Bool,
    missing Array(Tuple(first Int64, last Int64)),
    `return` Float64,
    length Int64,
    first_seq Int64 CODEC(Delta, ZSTD(1)),
    last_seq Int64 CODEC(Delta, ZSTD(1)),
    first_ts DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    last_ts DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    min_reward Float64,
    max_reward Float64,
    extras_sum Map(LowCardinality(String), Float64),
    labels Map(LowCardinality(String), String),
    stop String,
    has_reset Bool DEFAULT true,
    kafka_topic_id LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64 CODEC(DoubleDelta, ZSTD(1)),
    INDEX kafka_position (kafka_partition, kafka_offset) TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(last_ts)
ORDER BY (run_id, agent_id, attempt, env, episode, revision)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;

-- What each component said about itself, every second.
CREATE TABLE IF NOT EXISTS heartbeats
(
    component_id LowCardinality(String),
    kind LowCardinality(String),
    sent_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    started_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    version LowCardinality(String),
    total_events Int64 CODEC(Delta, ZSTD(1)),
    dropped_events Int64 CODEC(Delta, ZSTD(1)),
    lag_ms Int64,
    lag_events Int64,
    last_seq_id Map(LowCardinality(String), Int64),
    committed Map(LowCardinality(String), Int64),
    detail String CODEC(ZSTD(1)),
    kafka_topic_id LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64 CODEC(DoubleDelta, ZSTD(1)),
    INDEX kafka_position (kafka_partition, kafka_offset) TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(sent_at)
ORDER BY (component_id, sent_at)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;

-- Records that could not be used, with their bytes and the reason: the topic dead-letters, one row a letter. The source
-- of a letter is in topic, topic_id, partition and offset; -1 = it has none. A component that dies at the wrong moment
-- writes a letter twice, so the same source may be here under two positions of its own: dead_letters_latest has it once.
CREATE TABLE IF NOT EXISTS dead_letters
(
    key String,
    topic LowCardinality(String),
    topic_id LowCardinality(String),
    partition Int32,
    offset Int64,
    component LowCardinality(String),
    run_id String,
    agent_id String,
    attempt Int64,
    seq Int64,
    count Int64,
    source_key String,
    value Nullable(String) CODEC(ZSTD(1)),
    headers Map(String, String) CODEC(ZSTD(1)),
    schema_id String,
    error String CODEC(ZSTD(1)),
    failed_at DateTime64(6, 'UTC'),
    kafka_topic_id LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    INDEX kafka_position (kafka_partition, kafka_offset) TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (topic, topic_id, partition, offset, component, key)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;

-- Offsets that retention deleted before the sink read them: a loss, counted. Both ends are included.
CREATE TABLE IF NOT EXISTS lost_ranges
(
    topic LowCardinality(String),
    topic_id LowCardinality(String),
    partition Int32,
    first_offset Int64,
    last_offset Int64,
    consumer_group LowCardinality(String),
    reason String,
    detected_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(detected_at)
ORDER BY (topic, topic_id, partition, first_offset);
