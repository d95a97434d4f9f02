-- One row a step, exactly as it was recorded. Described column by column in docs/sql.md.
--
-- ORDER BY is the identity of a step, so one stream is contiguous on disk. Delta codecs where values walk; never
-- Gorilla. New parts have the server's default codec (LZ4, unless configured), a week later the TTL writes them anew
-- with ZSTD; merges wait for ten parts (docs/decisions/0007). `action_raw` and `observation_raw`
-- hold the bytes of one value, little-endian, C order; the ALIAS columns read them.
--
-- Each ALIAS branch reads an empty string unless the dtype is its own, so it is total: it does not depend on
-- short-circuit evaluation, and a branch never meets bytes of another width.
CREATE TABLE IF NOT EXISTS steps
(
    run_id LowCardinality(String) CODEC(Default),
    agent_id LowCardinality(String) CODEC(Default),
    attempt Int64 CODEC(Delta, Default),
    seq Int64 CODEC(DoubleDelta, Default),
    env Int32 CODEC(Default),
    episode Int64 CODEC(DoubleDelta, Default),
    step Int32 CODEC(Delta, Default),
    tick Int64 CODEC(Delta, Default),
    ts DateTime64(6, 'UTC') CODEC(Delta, Default),
    reward Float64 CODEC(Default),
    terminated Bool CODEC(Default),
    truncated Bool CODEC(Default),
    kind LowCardinality(String) CODEC(Default),
    status LowCardinality(String) CODEC(Default),
    parent Int64 DEFAULT -1 CODEC(Default),
    seed Nullable(Int64) CODEC(Default),
    seed_large String CODEC(Default),
    seed_text String ALIAS if(empty(seed_large), ifNull(toString(seed), ''), seed_large),
    extras Map(LowCardinality(String), Float64) CODEC(Default),
    extras_repeated Map(LowCardinality(String), Array(Float64)) CODEC(Default),
    extras_all Map(LowCardinality(String), Array(Float64)) ALIAS mapUpdate(
        CAST(mapApply((name, number) -> (name, [number]), extras) AS Map(LowCardinality(String), Array(Float64))),
        extras_repeated
    ),
    info String CODEC(Default),
    labels Map(LowCardinality(String), String) CODEC(Default),
    stop String CODEC(Default),
    action_dtype LowCardinality(String) CODEC(Default),
    action_shape Array(UInt32) CODEC(Default),
    action_raw String CODEC(Default),
    observation_dtype LowCardinality(String) CODEC(Default),
    observation_shape Array(UInt32) CODEC(Default),
    observation_raw String CODEC(Default),
    dropped Int64 CODEC(Delta, Default),
    sent_at DateTime64(6, 'UTC') CODEC(Delta, Default),
    kafka_topic_id LowCardinality(String) CODEC(Default),
    kafka_partition Int32 CODEC(Default),
    kafka_offset Int64 CODEC(DoubleDelta, Default),
    action Array(Float64) ALIAS arrayConcat(
        CAST(reinterpret(if(action_dtype IN ('|b1', '|u1'), action_raw, ''), 'Array(UInt8)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '|i1', action_raw, ''), 'Array(Int8)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<i2', action_raw, ''), 'Array(Int16)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<u2', action_raw, ''), 'Array(UInt16)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<i4', action_raw, ''), 'Array(Int32)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<u4', action_raw, ''), 'Array(UInt32)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<i8', action_raw, ''), 'Array(Int64)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<u8', action_raw, ''), 'Array(UInt64)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<f4', action_raw, ''), 'Array(Float32)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<f8', action_raw, ''), 'Array(Float64)') AS Array(Float64)),
        arrayMap(
            h -> multiIf(
                bitAnd(h, 31744) = 0, bitAnd(h, 1023) * 5.9604644775390625e-8 * if(h > 32767, -1, 1),
                bitAnd(h, 31744) = 31744 AND bitAnd(h, 1023) > 0, nan,
                bitAnd(h, 31744) = 31744, if(h > 32767, -inf, inf),
                reinterpretAsFloat64(
                    toUInt64(h > 32767) * 9223372036854775808
                    + (toUInt64(bitAnd(h, 31744)) + 1032192) * 4398046511104
                    + toUInt64(bitAnd(h, 1023)) * 4398046511104
                )
            ),
            reinterpret(if(action_dtype = '<f2', action_raw, ''), 'Array(UInt16)')
        )
    ),
    action_int Array(Int64) ALIAS arrayConcat(
        CAST(reinterpret(if(action_dtype IN ('|b1', '|u1'), action_raw, ''), 'Array(UInt8)') AS Array(Int64)),
        CAST(reinterpret(if(action_dtype = '|i1', action_raw, ''), 'Array(Int8)') AS Array(Int64)),
        CAST(reinterpret(if(action_dtype = '<i2', action_raw, ''), 'Array(Int16)') AS Array(Int64)),
        CAST(reinterpret(if(action_dtype = '<u2', action_raw, ''), 'Array(UInt16)') AS Array(Int64)),
        CAST(reinterpret(if(action_dtype = '<i4', action_raw, ''), 'Array(Int32)') AS Array(Int64)),
        CAST(reinterpret(if(action_dtype = '<u4', action_raw, ''), 'Array(UInt32)') AS Array(Int64)),
        CAST(reinterpret(if(action_dtype = '<i8', action_raw, ''), 'Array(Int64)') AS Array(Int64)),
        if(
            arrayExists(x -> x > 9223372036854775807, reinterpret(if(action_dtype = '<u8', action_raw, ''), 'Array(UInt64)')),
            [],
            CAST(reinterpret(if(action_dtype = '<u8', action_raw, ''), 'Array(UInt64)') AS Array(Int64))
        )
    ),
    action_text String ALIAS if(action_dtype IN ('text', 'json'), action_raw, ''),
    observation Array(Float64) ALIAS arrayConcat(
        CAST(reinterpret(if(observation_dtype IN ('|b1', '|u1'), observation_raw, ''), 'Array(UInt8)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '|i1', observation_raw, ''), 'Array(Int8)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<i2', observation_raw, ''), 'Array(Int16)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<u2', observation_raw, ''), 'Array(UInt16)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<i4', observation_raw, ''), 'Array(Int32)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<u4', observation_raw, ''), 'Array(UInt32)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<i8', observation_raw, ''), 'Array(Int64)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<u8', observation_raw, ''), 'Array(UInt64)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<f4', observation_raw, ''), 'Array(Float32)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<f8', observation_raw, ''), 'Array(Float64)') AS Array(Float64)),
        arrayMap(
            h -> multiIf(
                bitAnd(h, 31744) = 0, bitAnd(h, 1023) * 5.9604644775390625e-8 * if(h > 32767, -1, 1),
                bitAnd(h, 31744) = 31744 AND bitAnd(h, 1023) > 0, nan,
                bitAnd(h, 31744) = 31744, if(h > 32767, -inf, inf),
                reinterpretAsFloat64(
                    toUInt64(h > 32767) * 9223372036854775808
                    + (toUInt64(bitAnd(h, 31744)) + 1032192) * 4398046511104
                    + toUInt64(bitAnd(h, 1023)) * 4398046511104
                )
            ),
            reinterpret(if(observation_dtype = '<f2', observation_raw, ''), 'Array(UInt16)')
        )
    ),
    observation_int Array(Int64) ALIAS arrayConcat(
        CAST(reinterpret(if(observation_dtype IN ('|b1', '|u1'), observation_raw, ''), 'Array(UInt8)') AS Array(Int64)),
        CAST(reinterpret(if(observation_dtype = '|i1', observation_raw, ''), 'Array(Int8)') AS Array(Int64)),
        CAST(reinterpret(if(observation_dtype = '<i2', observation_raw, ''), 'Array(Int16)') AS Array(Int64)),
        CAST(reinterpret(if(observation_dtype = '<u2', observation_raw, ''), 'Array(UInt16)') AS Array(Int64)),
        CAST(reinterpret(if(observation_dtype = '<i4', observation_raw, ''), 'Array(Int32)') AS Array(Int64)),
        CAST(reinterpret(if(observation_dtype = '<u4', observation_raw, ''), 'Array(UInt32)') AS Array(Int64)),
        CAST(reinterpret(if(observation_dtype = '<i8', observation_raw, ''), 'Array(Int64)') AS Array(Int64)),
        if(
            arrayExists(x -> x > 9223372036854775807, reinterpret(if(observation_dtype = '<u8', observation_raw, ''), 'Array(UInt64)')),
            [],
            CAST(reinterpret(if(observation_dtype = '<u8', observation_raw, ''), 'Array(UInt64)') AS Array(Int64))
        )
    ),
    observation_text String ALIAS if(observation_dtype IN ('text', 'json'), observation_raw, ''),
    INDEX kafka_position (kafka_partition, kafka_offset) TYPE minmax GRANULARITY 1,
    PROJECTION by_episode
    (
        SELECT
            run_id, agent_id, attempt, env, episode,
            count(), sum(reward), min(reward), max(reward), max(step),
            min(ts), max(ts), max(terminated), max(truncated)
        GROUP BY run_id, agent_id, attempt, env, episode
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (run_id, agent_id, attempt, seq)
TTL toDateTime(ts) + INTERVAL 7 DAY RECOMPRESS CODEC(ZSTD(3))
SETTINGS
    min_parts_to_merge_at_once = 10,
    auto_statistics_types = '',
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;
