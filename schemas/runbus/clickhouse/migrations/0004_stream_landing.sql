-- Where the sink inserts RunEvent, EpisodeFinalized, Heartbeat and DeadLetter records: the fields of their .avsc under
-- their own names. Times arrive as microseconds since the epoch. Each view refuses what the decoder refuses (a test
-- compares them): a record that says no end, a bad name, a text that is not UTF-8, a map with a key twice. A dead letter
-- may be anything; the sink itself writes the record around it.
CREATE TABLE IF NOT EXISTS runs_landing
(
    kafka_topic_id String,
    kafka_partition Int32,
    kafka_offset Int64,
    run_id String,
    agent_id String,
    attempt Int64,
    kind String,
    sent_at Int64,
    started_at Int64,
    config String,
    observation_space String,
    action_space String,
    produced Int64,
    dropped Int64,
    episodes Int64,
    outcome String,
    error String,
    summary String,
    host String,
    pid Int32,
    version String,
    labels Map(String, String),
    tags Array(String),
    parent String,
    parent_seq Int64 DEFAULT -1,
    logged Map(String, Array(Float64)),
    commands String DEFAULT '',
    role String,
    metrics Int64,
    metrics_dropped Int64,
    record_end String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS runs_landing_view TO runs AS
SELECT
    run_id,
    agent_id,
    attempt,
    kind,
    fromUnixTimestamp64Micro(r.sent_at, 'UTC') AS sent_at,
    fromUnixTimestamp64Micro(r.started_at, 'UTC') AS started_at,
    config,
    observation_space,
    action_space,
    produced,
    dropped,
    episodes,
    outcome,
    error,
    summary,
    host,
    pid,
    version,
    labels,
    tags,
    parent,
    parent_seq,
    logged,
    commands,
    role,
    metrics,
    metrics_dropped,
    kafka_topic_id,
    kafka_partition,
    kafka_offset
FROM runs_landing AS r
WHERE 0 = (
    throwIf(record_end != concat('end ', toString(kafka_offset)), 'runbus: runs: bytes follow the record')
    + throwIf(NOT length(run_id) BETWEEN 1 AND 255, 'runbus: runs.run_id is empty or longer than 255 bytes')
    + throwIf(match(run_id, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: runs.run_id has / or a control character in it')
    + throwIf(NOT length(agent_id) BETWEEN 1 AND 255, 'runbus: runs.agent_id is empty or longer than 255 bytes')
    + throwIf(match(agent_id, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: runs.agent_id has / or a control character in it')
    + throwIf(
        arrayExists(
            x -> NOT isValidUTF8(x),
            arrayConcat(
                [run_id, agent_id, config, observation_space, action_space, outcome, error, summary, host, version, parent, commands, role],
                tags,
                mapKeys(labels),
                mapValues(labels),
                mapKeys(logged)
            )
        ),
        'runbus: runs has a text that is not UTF-8'
    )
    + throwIf(length(arrayDistinct(mapKeys(labels))) != length(labels), 'runbus: runs.labels has a key twice')
    + throwIf(length(arrayDistinct(mapKeys(logged))) != length(logged), 'runbus: runs.logged has a key twice')
);

CREATE TABLE IF NOT EXISTS episodes_landing
(
    kafka_topic_id String,
    kafka_partition Int32,
    kafka_offset Int64,
    id String,
    revision Int32,
    run_id String,
    agent_id String,
    attempt Int64,
    env Int32,
    episode Int64,
    reason String,
    complete Bool,
    missing_from Array(Int64),
    missing_to Array(Int64),
    `return` Float64,
    length Int64,
    first_seq Int64,
    last_seq Int64,
    first_ts Int64,
    last_ts Int64,
    min_reward Float64,
    max_reward Float64,
    extras_sum Map(String, Float64),
    labels Map(String, String),
    stop String,
    has_reset Bool DEFAULT true,
    record_end String
)
ENGINE = Null;

-- arrayZip raises (SIZES_OF_ARRAYS_DONT_MATCH) when a missing range has only one end.
CREATE MATERIALIZED VIEW IF NOT EXISTS episodes_landing_view TO episodes AS
SELECT
    id,
    revision,
    run_id,
    agent_id,
    attempt,
    env,
    episode,
    reason,
    complete,
    arrayZip(missing_from, missing_to) AS missing,
    `return`,
    e.length AS length,
    first_seq,
    last_seq,
    fromUnixTimestamp64Micro(e.first_ts, 'UTC') AS first_ts,
    fromUnixTimestamp64Micro(e.last_ts, 'UTC') AS last_ts,
    min_reward,
    max_reward,
    extras_sum,
    labels,
    stop,
    has_reset,
    kafka_topic_id,
    kafka_partition,
    kafka_offset
FROM episodes_landing AS e
WHERE 0 = (
    throwIf(record_end != concat('end ', toString(kafka_offset)), 'runbus: episodes: bytes follow the record')
    + throwIf(NOT length(run_id) BETWEEN 1 AND 255, 'runbus: episodes.run_id is empty or longer than 255 bytes')
    + throwIf(match(run_id, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: episodes.run_id has / or a control character in it')
    + throwIf(NOT length(agent_id) BETWEEN 1 AND 255, 'runbus: episodes.agent_id is empty or longer than 255 bytes')
    + throwIf(match(agent_id, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: episodes.agent_id has / or a control character in it')
    + throwIf(length(arrayDistinct(mapKeys(extras_sum))) != length(extras_sum), 'runbus: episodes.extras_sum has a key twice')
    + throwIf(length(arrayDistinct(mapKeys(labels))) != length(labels), 'runbus: episodes.labels has a key twice')
    + throwIf(
        arrayExists(
            x -> NOT isValidUTF8(x),
            arrayConcat([id, run_id, agent_id, stop], mapKeys(extras_sum), mapKeys(labels), mapValues(labels))
        ),
        'runbus: episodes has a text that is not UTF-8'
    )
);

CREATE TABLE IF NOT EXISTS heartbeats_landing
(
    kafka_topic_id String,
    kafka_partition Int32,
    kafka_offset Int64,
    component_id String,
    kind String,
    sent_at Int64,
    started_at Int64,
    version String,
    total_events Int64,
    dropped_events Int64,
    lag_ms Int64,
    lag_events Int64,
    last_seq_id Map(String, Int64),
    committed Map(String, Int64),
    detail String,
    record_end String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS heartbeats_landing_view TO heartbeats AS
SELECT
    component_id,
    kind,
    fromUnixTimestamp64Micro(h.sent_at, 'UTC') AS sent_at,
    fromUnixTimestamp64Micro(h.started_at, 'UTC') AS started_at,
    version,
    total_events,
    dropped_events,
    lag_ms,
    lag_events,
    last_seq_id,
    committed,
    detail,
    kafka_topic_id,
    kafka_partition,
    kafka_offset
FROM heartbeats_landing AS h
WHERE 0 = (
    throwIf(record_end != concat('end ', toString(kafka_offset)), 'runbus: heartbeats: bytes follow the record')
    + throwIf(length(arrayDistinct(mapKeys(last_seq_id))) != length(last_seq_id), 'runbus: heartbeats.last_seq_id has a key twice')
    + throwIf(length(arrayDistinct(mapKeys(committed))) != length(committed), 'runbus: heartbeats.committed has a key twice')
    + throwIf(
        arrayExists(
            x -> NOT isValidUTF8(x),
            arrayConcat([component_id, kind, version, detail], mapKeys(last_seq_id), mapKeys(committed))
        ),
        'runbus: heartbeats has a text that is not UTF-8'
    )
);

CREATE TABLE IF NOT EXISTS dead_letters_landing
(
    kafka_topic_id String,
    kafka_partition Int32,
    kafka_offset Int64,
    key String,
    topic String,
    topic_id String,
    partition Int32,
    offset Int64,
    component String,
    run_id String,
    agent_id String,
    attempt Int64,
    seq Int64,
    count Int64,
    source_key String,
    value Nullable(String),
    headers Map(String, String),
    schema_id String,
    error String,
    failed_at Int64,
    record_end String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS dead_letters_landing_view TO dead_letters AS
SELECT
    key,
    topic,
    topic_id,
    partition,
    d.offset AS offset,
    component,
    run_id,
    agent_id,
    attempt,
    seq,
    d.count AS count,
    source_key,
    value,
    headers,
    schema_id,
    error,
    fromUnixTimestamp64Micro(d.failed_at, 'UTC') AS failed_at,
    kafka_topic_id,
    kafka_partition,
    kafka_offset
FROM dead_letters_landing AS d
WHERE 0 = throwIf(
    record_end != concat('end ', toString(kafka_offset)), 'runbus: dead_letters: bytes follow the record'
);
